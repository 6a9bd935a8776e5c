"""``sam2amml train``: a recipe becomes a trained network."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console

from training.recipe_files import find_recipe


def run(recipe_name: str, changes: tuple[str, ...], folder: Path | None, resume: bool, threads: int,
        accelerator: str, devices: str, nodes: int, strategy: str) -> Path:
    """Train; return the folder of the run, by default ``out/runs/NAME``. Raises InputError on unusable arguments."""
    import logging
    import warnings

    recipe = find_recipe(recipe_name, changes)
    target = folder or Path('out/runs') / recipe.name
    import torch

    from training.run import Machine, train

    for name in ('lightning.pytorch', 'lightning.fabric'):  # after their import, which sets other levels
        logging.getLogger(name).setLevel(logging.ERROR)
    torch.set_num_threads(threads)
    console = Console(stderr=True)
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', module='lightning')
        task = train(recipe, target, Machine(accelerator, devices, nodes, strategy, console.is_terminal), resume,
                     'sam2amml ' + ' '.join(sys.argv[1:]))
    if not task.trainer.is_global_zero:
        return target
    row = task.history[-1] if task.history else {}
    console.print(f'{target}: {recipe.backbone}, {task.global_step} steps in {task.minutes:.1f} min, loss '
                  f'{row.get("loss", float("nan")):.3f}, best validation mIoU {max(task.best, 0):.2f} %',
                  highlight=False)
    if task.skipped:
        console.print(f'{sum(task.skipped.values())} samples were skipped, of {len(task.skipped)} files: '
                      f'{next(iter(task.skipped))}', style='yellow', markup=False)
    return target
