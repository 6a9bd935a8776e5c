"""The page of results, from rows: tables of scores and paired differences, then the commands behind the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean
from typing import Any

from training.results import BASELINE, COMPARED, Row

HEAD = """# Results

Written by `sam2amml results`; the same numbers are in [results.json](results.json). mIoU in percent, mean and standard
deviation over seeds, scored as the benchmark of the data does, last checkpoint, no test-time augmentation unless it
says so.
"""


def markdown(rows: Sequence[Row], pooled: Sequence[Row] = (), note: str = '') -> str:
    """The page. ``pooled`` are differences over all backbones: {experiment, label_fraction, variant, versus_baseline};
    ``note`` is a text of the author's for its top."""
    lines = [HEAD, *([note.strip(), ''] if note else []), *_scores(rows), '']
    if any(row.get('versus_baseline') for row in rows):
        lines += ['## Paired differences', '',
                  'Run by run against the baseline of the same backbone, labels and seed: mean and 95 % interval '
                  '(Student, over the pairs).', '', *_differences([*rows, *pooled]), '',
                  'By class, mean difference in IoU; **bold** where its interval excludes zero.', '',
                  *_differences_by_class([*rows, *pooled]), '']
    lines += ['## By distance and class', '', *_parts(rows), '', '## Command -> number', '']
    for row in rows:
        for run in row['runs']:
            seed = f', seed {run["seed"]}' if 'seed' in run else ''
            lines.append(f'- {_title(row)}{seed}: **{run["miou"]:.2f}** at commit `{run["commit"]}`')
            lines += [f'  - `{run[name]}`' for name in ('command', 'evaluate') if run.get(name)]
    return '\n'.join(lines) + '\n'


def _scores(rows: Sequence[Row]) -> list[str]:
    lines = ['| experiment | backbone | labels | variant | trained on | seeds | tested on | mIoU | in view '
             '| out of view | minutes | hardware |', '|---|---|---|---|---|---|---|---|---|---|---|---|']
    for row in rows:
        minutes = [run['minutes'] for run in row['runs'] if 'minutes' in run]
        spread = '' if row['miou_std'] is None else f' ± {row["miou_std"]:.2f}'
        tta = f' ({row["test_time_augmentation"]})' if row.get('test_time_augmentation') else ''
        lines.append(
            f'| {row["experiment"]} | {row["backbone"]} | {100 * row["label_fraction"]:g} % | {row["variant"]}{tta} | '
            f'{_trained_on(row)} | {", ".join(map(str, row["seeds"])) or "-"} | '
            f'{row["sweeps"]} sweeps of {row["test_data"]} {row["split"]} | {row["miou_mean"]:.2f}{spread} | '
            f'{_cell(row["miou_in_frustum"])} | {_cell(row["miou_out_of_frustum"])} | '
            f'{f"{mean(minutes):.1f}" if minutes else "-"} | {row["runs"][0].get("hardware", "-")} |')
    return lines


def _differences(rows: Sequence[Row]) -> list[str]:
    lines = ['| experiment | backbone | labels | variant | pairs | mIoU | in view | out of view |',
             '|---|---|---|---|---|---|---|---|']
    for row in rows:
        found: dict[str, Any] | None = row.get('versus_baseline')
        if found:
            lines.append(f'| {row["experiment"]} | {row.get("backbone", "all")} | {100 * row["label_fraction"]:g} % '
                         f'| {row["variant"]} | {found["miou"]["pairs"]} | '
                         + ' | '.join(_interval(found[name]) for name in COMPARED) + ' |')
    return lines


def _differences_by_class(rows: Sequence[Row]) -> list[str]:
    lines = []
    compared = [row for row in rows if row.get('versus_baseline')]
    for experiment in dict.fromkeys(row['experiment'] for row in compared):  # each has classes of its own
        mine = [row for row in compared if row['experiment'] == experiment]
        names = list(dict.fromkeys(name for row in mine for name in row['versus_baseline']['per_class']))
        lines += [f'| {experiment} | pairs | ' + ' | '.join(names) + ' |', '|---|---|' + '---|' * len(names)]
        for row in mine:
            found = row['versus_baseline']
            lines.append(f'| {row.get("backbone", "all")}, {100 * row["label_fraction"]:g} %, {row["variant"]} '
                         f'| {found["miou"]["pairs"]} | '
                         + ' | '.join(_difference(found['per_class'].get(name)) for name in names) + ' |')
        lines.append('')
    return lines[:-1]


def _difference(found: dict[str, Any] | None) -> str:
    if found is None:
        return '-'
    sure = found['low'] is not None and not found['low'] <= 0 <= found['high']
    return f'**{found["mean"]:+.1f}**' if sure else f'{found["mean"]:+.1f}'


def _interval(found: dict[str, Any] | None) -> str:
    if found is None:
        return '-'
    between = '' if found['low'] is None else f' [{found["low"]:+.2f}, {found["high"]:+.2f}]'
    return f'{found["mean"]:+.2f}{between}'


def _parts(rows: Sequence[Row]) -> list[str]:
    names = list(dict.fromkeys(name for row in rows for name in (*row['miou_by_distance'], *row['per_class'])))
    lines = ['| | ' + ' | '.join(names) + ' |', '|---|' + '---|' * len(names)]
    for row in rows:
        values = {**row['miou_by_distance'], **row['per_class']}
        lines.append(f'| {_title(row)}, on {row["test_data"]} | '
                     + ' | '.join(_cell(values.get(name)) for name in names) + ' |')
    return lines


def _title(row: Row) -> str:
    labels = '' if row['label_fraction'] == 1 else f', {100 * row["label_fraction"]:g} % labels'
    variant = '' if row['variant'] in (BASELINE, 'shipped model') and not labels else f', {row["variant"]}'
    return f'{row["experiment"]}, {row["backbone"]}{labels}{variant}'


def _trained_on(row: Row) -> str:
    if 'scans' not in row:
        return 'see bundle.yaml'
    return f'{row["scans"]} sweeps, {" / ".join(map(str, sorted({run["steps"] for run in row["runs"]})))} steps'


def _cell(value: float | None) -> str:
    return '-' if value is None else f'{value:.1f}'
