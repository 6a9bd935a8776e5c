"""``sam2amml export``: the averaged weights of a training run become a model bundle."""

from __future__ import annotations

import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from training.checkpoint import Checkpoint


def run(model: str, checkpoint: Path | None, folder: Path, command: str, seed: int, data: str,
        metrics: dict[str, float] | None = None, validation: Path | None = None,
        with_weights: bool = False) -> Path:
    """Export ``checkpoint`` (default: ``out/runs/<model>/last.ckpt``) to the bundle ``folder``; return it.

    With ``validation``, a folder of cached sweeps, rare classes are toned down as far as that raises mIoU there.
    Raises ``InputError`` if the checkpoint is unusable or of another recipe, ``BundleError`` if writing fails.
    """
    from sam2amml_core.bundle import Provenance
    from sam2amml_core.errors import InputError
    from training.checkpoint import open_checkpoint, read_checkpoint, schema_of
    from training.export import export_bundle
    from training.verification import verify_bundle

    file = checkpoint or Path('out/runs') / model
    schema = schema_of(read_checkpoint(file))
    found = open_checkpoint(file, len(schema) - 1)
    if found.recipe.name != model:
        raise InputError(f'{file} was trained for {found.recipe.name!r}, not {model!r}; give its own checkpoint')
    metrics = dict(metrics or {})
    if found.best >= 0:
        metrics.setdefault('validation_miou', round(found.best, 2))
    if validation is not None:
        metrics['logit_adjustment'] = adjust(found, schema.name, validation)
    provenance = Provenance(command=found.command or command, seed=found.recipe.loop.seed, commit=current_commit(),
                            data=data, metrics=metrics, created=datetime.now(timezone.utc).strftime('%Y-%m-%d'),
                            steps=found.step, train_minutes=round(found.minutes, 1))
    recipe = found.recipe
    bundle = export_bundle(found.network, folder, model, schema, recipe.sensor, recipe.normalisation, provenance,
                           with_weights)
    verify_bundle(found.network, bundle, validation)
    return folder


def adjust(found: Checkpoint, schema_name: str, validation: Path) -> float:
    """Adjust the classifier of the network in place on cached sweeps; returns the share of the weights undone."""
    from sam2amml_core.errors import InputError
    from training.calibration import add_bias, best_adjustment, held_out_scores
    from training.sweep_cache import CachedSweeps

    if found.class_weight is None:
        raise InputError(f'{found.path} was trained without class weights; export without --validation')
    scores, label = held_out_scores(found.network, CachedSweeps(validation, schema_name), found.recipe)
    share, bias = best_adjustment(scores, label, found.class_weight.numpy())
    add_bias(found.network, bias)
    return share


def current_commit() -> str:
    """The commit of this source tree, with a + if files differ from it; empty outside a git work tree."""
    here = Path(__file__).parent
    try:
        commit = subprocess.run(['git', 'rev-parse', '--short=12', 'HEAD'], cwd=here, capture_output=True, text=True,
                                check=True).stdout.strip()
        dirty = subprocess.run(['git', 'status', '--porcelain', '-uno', '--', '.'], cwd=here.parent,
                               capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ''
    return commit + ('+' if dirty else '')
