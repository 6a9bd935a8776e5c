"""``sam2amml masks-supervision``: what stored masks could teach, beside each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from sam2amml_core.errors import InputError
from training.datasets.open import open_split
from training.datasets.stored_masks import StoredMasks
from training.masks.supervision import Supervision, supervision
from training.recipe_files import find_recipe


def run(data: Path, folders: list[Path], split: str, recipe: str, limit: int, shuffled: bool) -> dict[str, Supervision]:
    """Count over ``limit`` sweeps, evenly spread, for each folder of masks; print a table; return the counts by name.

    ``shuffled`` adds a row for each folder with every sweep's masks exchanged for those of another. Raises InputError
    for input that cannot be read.
    """
    if not folders:
        raise InputError('give one folder of masks or more, as sam2amml masks writes them')
    scans, sensor = open_split(data, split), find_recipe(recipe).sensor
    some = np.unique(np.linspace(0, len(scans) - 1, min(limit, len(scans))).round().astype(int)).tolist()
    stores = {folder.name: StoredMasks(folder) for folder in folders}
    if shuffled:
        stores |= {f'{folder.name}, shuffled': StoredMasks(folder, shuffled=True) for folder in folders}
    found = {}
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task('sweeps', total=len(some) * len(stores))
        for name, store in stores.items():
            found[name] = Supervision()
            for index in some:
                found[name] += supervision(scans, index, store, sensor.beam_spacing_rad, sensor.sensor_height_m)
                progress.advance(task)
    Console().print(_table(found, f'{len(some)} sweeps of {data.name} {split}'))
    return found


def _table(found: dict[str, Supervision], title: str) -> Table:
    table = Table(title=title)
    table.add_column('')
    rows = {name: counts.row() for name, counts in found.items()}
    for name in rows:
        table.add_column(name, justify='right')
    for heading in next(iter(rows.values())):
        table.add_row(heading, *(f'{row[heading]:g}' for row in rows.values()))
    return table
