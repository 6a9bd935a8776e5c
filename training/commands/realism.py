"""``sam2amml realism``: the synthetic world against real recordings, in tables and pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from sam2amml_core.errors import InputError
from sam2amml_core.io.labels import make_folder
from training.world.realism import (
    SPLITS_SHOWN,
    Source,
    Summary,
    image_summary,
    lidar_summary,
    real_sources,
    synthetic_source,
)
from training.world.realism_sheets import image_sheet, lidar_sheet
from training.world.sensors import hdl32, hdl64

MARK = '<!-- tables -->'
"""What follows this line in the Markdown file is replaced."""

SWEEPS_SHOWN, IMAGES_SHOWN = 3, 6
"""Of each source, on a contact sheet."""

_SPECS = {64: hdl64, 32: hdl32}
_RIGS = {64: 'KITTI', 32: 'nuScenes'}

Report = dict[str, dict[str, dict[str, Summary]]]


def run(data: Path, worlds: int = 12, output: Path = Path('out'), markdown: Path | None = None, processes: int = 2
        ) -> Report:
    """Compare ``worlds`` synthetic streets of each shown split with the real frames in ``data``.

    Writes ``output/realism.json`` and contact sheets into ``output/realism``; puts the tables into ``markdown`` if
    given. Returns title -> source -> statistic -> summary. Raises InputError when the real frames are missing or
    nothing can be written.
    """
    real = {beams: real_sources(data, beams) for beams in _SPECS}
    sheets = make_folder(output / 'realism')
    console, log = Console(), Console(stderr=True)
    report: Report = {}
    for beams, found in real.items():
        with log.status(f'{beams} beams: driving through {worlds * len(SPLITS_SHOWN)} streets'):
            made = [synthetic_source(beams, split, worlds, processes) for split in SPLITS_SHOWN]
        sources = [*found, *made]
        spec = _SPECS[beams]()
        report[f'LiDAR of {beams} beams'] = {s.name: lidar_summary(s, spec) for s in sources}
        seen = [s for s in sources if s.images]
        report[f'Images of the {_RIGS[beams]} rig'] = {s.name: image_summary(s) for s in seen}
        _write_sheets(sheets, beams, sources, seen)
    for title, columns in report.items():
        console.print(_table(title, columns))
    content = {title: {name: {k: asdict(v) for k, v in rows.items()} for name, rows in columns.items()}
               for title, columns in report.items()}
    (output / 'realism.json').write_text(json.dumps(content, indent=1))
    if markdown is not None:
        write_markdown(markdown, report)
    return report


def write_markdown(path: Path, report: Report) -> None:
    """Put the tables into the file, in place of what follows ``MARK``, or at its end."""
    before = path.read_text().split(MARK)[0].rstrip() if path.is_file() else '# Realism'
    tables = [f'## {title}\n\n{_markdown_table(columns)}' for title, columns in report.items()]
    try:
        path.write_text('\n\n'.join([before, MARK, *tables]) + '\n')
    except OSError as error:
        raise InputError(f'cannot write {path}: {error.strerror}; choose another file') from error


def _write_sheets(folder: Path, beams: int, sources: Sequence[Source], seen: Sequence[Source]) -> None:
    shown = [(f'{s.name}: {i}', s.sweeps[i]) for s in sources if s.whole or beams == 32
             for i in _spread(len(s.sweeps), SWEEPS_SHOWN)]
    pictures = {f'lidar{beams}': lidar_sheet(shown, beams),
                f'images_{_RIGS[beams].lower()}': image_sheet(
                    [(s.name, [s.images[i] for i in _spread(len(s.images), IMAGES_SHOWN)]) for s in seen])}
    for name, picture in pictures.items():
        path = folder / f'{name}.png'
        if not cv2.imwrite(str(path), picture):
            raise InputError(f'cannot write {path}; choose another output folder')


def _spread(count: int, wanted: int) -> list[int]:
    """Up to ``wanted`` different positions among ``count``, from the first to the last."""
    return sorted({round(i) for i in np.linspace(0, count - 1, wanted)})


def _rows(columns: dict[str, dict[str, Summary]]) -> list[tuple[str, list[str], str]]:
    """(statistic, one cell for each source, remark) in the order of the richest source."""
    names = list(dict.fromkeys(name for rows in columns.values() for name in rows))
    order = max((list(rows) for rows in columns.values()), key=len)
    names.sort(key=lambda name: order.index(name) if name in order else len(order))
    result = []
    for name in names:
        cells = [_cell(rows.get(name)) for rows in columns.values()]
        result.append((name, cells, _remark(name, columns)))
    return result


def _cell(summary: Summary | None) -> str:
    if summary is None:
        return ''
    if summary.count == 1:
        return _number(summary.mean)
    return f'{_number(summary.mean)} ({_number(summary.low)} .. {_number(summary.high)})'


def _number(value: float) -> str:
    return f'{value:.0f}' if abs(value) >= 1000 else f'{value:.3g}' if abs(value) < 100 else f'{value:.0f}'


def _remark(name: str, columns: dict[str, dict[str, Summary]]) -> str:
    """Where all real sources lie on one side of what most synthetic streets show."""
    made = [rows[name] for source, rows in columns.items() if source.startswith('synthetic') and name in rows]
    real = [rows[name].mean for source, rows in columns.items() if not source.startswith('synthetic') and name in rows]
    if not made or not real:
        return ''
    low, high = min(s.low for s in made), max(s.high for s in made)
    if np.min(real) > high:
        return 'too low'
    return 'too high' if np.max(real) < low else ''


def _table(title: str, columns: dict[str, dict[str, Summary]]) -> Table:
    table = Table(title=f'{title}: mean (10 .. 90 %)')
    table.add_column('')
    for name in columns:
        table.add_column(name, justify='right')
    table.add_column('synthetic is')
    for name, cells, remark in _rows(columns):
        table.add_row(name, *cells, remark)
    return table


def _markdown_table(columns: dict[str, dict[str, Summary]]) -> str:
    lines = ['| | ' + ' | '.join(columns) + ' | synthetic is |', '|---' + '|---:' * len(columns) + '|---|']
    lines += ['| ' + ' | '.join([name, *cells, remark]) + ' |' for name, cells, remark in _rows(columns)]
    return '\n'.join(lines)
