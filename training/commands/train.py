"""``sam2amml train``: train a model on cached sweeps of the synthetic world."""

from __future__ import annotations

import os
from pathlib import Path

from rich.console import Console

from sam2amml_core.errors import InputError
from training.recipe import find_recipe


def run(model: str, data: Path | None, folder: Path | None, minutes: float, steps: int, seed: int, threads: int,
        resume: bool, start_from: Path | None, augmentation: float = 1.0) -> Path:
    """Train ``model`` for ``steps`` or ``minutes``, whichever comes first; return the folder of the run.

    ``start_from`` is the checkpoint of another run to begin with, ``augmentation`` the share (0..1) of strong changes
    of the sweeps. Raises ``InputError`` on unusable arguments.
    """
    # idle OpenMP threads must not spin: beside other processes that makes a step up to 15 times slower
    os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
    os.environ.setdefault('GOMP_SPINCOUNT', '0')
    import sys

    import torch

    from sam2amml_core.losses.segmentation import class_weights
    from training.batches import TrainingBatches
    from training.sweep_cache import CachedSweeps
    from training.trainer import Schedule, Trainer, read_checkpoint

    if not 0 <= augmentation <= 1:
        raise InputError(f'augmentation {augmentation} must be in 0..1')
    if minutes <= 0 or steps <= 0 or threads < 1:
        raise InputError(f'minutes {minutes}, steps {steps} and threads {threads} must be positive')
    console = Console(stderr=True)
    recipe = find_recipe(model)
    torch.set_num_threads(threads)
    sweeps = CachedSweeps(data or Path('out/sweeps') / model / 'train', recipe.schema)
    batches = TrainingBatches(sweeps, recipe, seed, steps, augmentation)
    weights = torch.from_numpy(class_weights(batches.counts.sum(axis=0)[1:]))
    target = folder or Path('out/runs') / model
    trainer = Trainer(recipe, batches, weights, target, Schedule(steps, minutes),
                      command='sam2amml ' + ' '.join(sys.argv[1:]))
    if resume:
        if not trainer.resume():
            raise InputError(f'{target} holds no last.pt to resume from; train without --resume')
    elif (target / 'last.pt').exists():
        raise InputError(f'{target} holds a run already; add --resume to continue it, or choose another --folder')
    elif start_from is not None:
        trainer.warm_start(read_checkpoint(start_from)['average'])
    console.print(f'{model}: {len(sweeps)} sweeps, {sum(p.numel() for p in trainer.network.parameters()):,} weights')

    def show(row: dict[str, float]) -> None:
        console.print(f"step {row['step']:6.0f}  {row['minutes']:6.1f} min  cross-entropy {row['cross_entropy']:.3f}  "
                      f"lovasz {row['lovasz']:.3f}  accuracy {row['accuracy']:.3f}", highlight=False)

    trainer.run(on_log=show)
    return target
