"""``sam2amml dataset``: what is in a data set, and whether it can be trained on."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from sam2amml_core.errors import InputError
from training.datasets.check import Report, check
from training.datasets.open import Format, open_split
from training.datasets.scans import ScanSet


def run(root: Path, splits: tuple[str, ...], kind: str, limit: int | None) -> list[Report]:
    """Check ``splits`` of the data set at ``root``, print what was found and return it.

    Raises InputError when a split cannot be opened or any scan looked at cannot be used.
    """
    layout = layout_named(kind)
    console = Console()
    reports, sets = [], []
    for split in splits:
        data = open_split(root, split, layout)
        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task(split, total=min(limit or len(data), len(data)))
            for report in check(data, split, limit):
                progress.update(task, completed=report.looked_at)
        reports.append(report)
        sets.append(data)
        console.print(f'{split}: {report.scans} scans in {report.scenes} scenes; looked at {report.looked_at}: '
                      f'{report.points:,} points, {report.not_finite} not finite, {report.with_images} with images',
                      highlight=False)
    console.print(_shares(sets[0], reports))
    for report in reports:
        for doubt in report.doubts:
            console.print(f'{report.split}: note: {doubt}', style='yellow', markup=False, highlight=False)
        for fault in report.faults[:20]:
            console.print(f'{report.split}: {fault}', style='red', markup=False, highlight=False)
    faults = sum(len(report.faults) for report in reports)
    if faults:
        raise InputError(f'{faults} of {sum(r.looked_at for r in reports)} scans cannot be used; see above')
    return reports


def layout_named(name: str) -> Format:
    """The layout of that name. Raises InputError when there is none."""
    formats: dict[str, Format] = {known: known for known in get_args(Format)}
    if name not in formats:
        raise InputError(f'no layout {name!r}; choose one of {", ".join(formats)}')
    return formats[name]


def _shares(data: ScanSet, reports: list[Report]) -> Table:
    table = Table(title=f'points by class, schema {data.schema.name}')
    table.add_column('id', justify='right')
    table.add_column('class')
    table.add_column('raw ids')
    for report in reports:
        table.add_column(f'{report.split} %', justify='right')
    raw = np.array(sorted(data.schema.raw_names))
    train = data.schema.raw_to_train[raw]
    for train_id, name in enumerate(data.schema.names):
        ids = ', '.join(map(str, raw[train == train_id].tolist()))
        shares = (100 * report.counts[train_id] / max(int(report.counts.sum()), 1) for report in reports)
        table.add_row(str(train_id), name, ids, *(f'{share:.3f}' for share in shares))
    return table
