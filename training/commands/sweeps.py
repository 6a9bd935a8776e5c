"""``sam2amml sweeps``: ray-cast labelled sweeps into a cache folder."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from sam2amml_core.errors import InputError
from training.recipe_files import find_recipe
from training.sweep_writer import write_sweeps


def run(model: str, split: str, worlds: int, sweeps: int, first: int, folder: Path | None) -> Path:
    """Fill ``folder`` (default: ``out/sweeps/<model>/<split>``) for the LiDAR of ``model``; return it."""
    recipe = find_recipe(model)
    if recipe.rig is None:
        raise InputError(f'recipe {model} is of a real LiDAR; choose one with a rig of the synthetic world: street64')
    target = folder or Path('out/sweeps') / model / split
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task(f'{model} {split}', total=worlds * sweeps)
        for _ in write_sweeps(target, recipe.rig, split, worlds, sweeps, first=first):
            progress.advance(task)
        progress.update(task, completed=worlds * sweeps)
    return target
