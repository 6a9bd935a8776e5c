"""The table of results from the folders of runs: one row per experiment, its seeds together."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from sam2amml_core.errors import InputError
from training.run_record import RUN_FILE, read_record

Row = dict[str, Any]


def collect(root: Path, split: str = 'test') -> list[Row]:
    """Rows from all runs below ``root`` that ended and were scored on ``split``; percent, sorted by experiment.

    experiment, backbone, label_fraction (0..1), variant  what was run; runs that share them differ by seed
    seeds              list of int
    miou_mean, miou_std, miou_in_frustum, miou_out_of_frustum, miou_by_distance, per_class  means over seeds
    runs               per seed: score, commit, hardware, wall minutes, steps, command
    Raises InputError when there is none, or two runs of one experiment share a seed.
    """
    groups: dict[tuple[str, str, float, str], list[Row]] = defaultdict(list)
    for path in sorted(root.rglob(RUN_FILE)):
        record = read_record(path.parent)
        scores = path.parent / f'scores_{split}.json'
        if 'finished' in record and scores.is_file():
            key = (record['name'], record['backbone'], float(record['fraction']), record['variant'])
            groups[key].append({**record, 'scores': read_scores(scores)})
    if not groups:
        raise InputError(f'{root} holds no finished run with scores_{split}.json; run sam2amml train, then evaluate')
    return [_row(key, runs) for key, runs in sorted(groups.items())]


def read_scores(path: Path) -> Row:
    """The JSON that ``sam2amml evaluate`` writes. Raises InputError when it is none."""
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        if 'miou' in content and 'per_class' in content:
            return content
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f'{path} cannot be read: {error}') from error
    raise InputError(f'{path} holds no scores of sam2amml evaluate')


def model_row(path: Path) -> Row:
    """A row for a shipped model from the JSON that ``sam2amml evaluate MODEL --output`` wrote."""
    scores = read_scores(path)
    return {'experiment': f'{scores["model"]} (shipped)', 'backbone': 'as exported', 'label_fraction': 1.0,
            'variant': 'shipped model', 'seeds': [], **_means([scores]), 'test_data': scores['data'],
            'split': scores['split'], 'runs': [{'commit': scores['commit'], 'evaluate': scores['command'],
                                                'miou': scores['miou']}]}


def _row(key: tuple[str, str, float, str], runs: list[Row]) -> Row:
    runs = sorted(runs, key=lambda run: run['seed'])
    seeds = [run['seed'] for run in runs]
    if len(set(seeds)) < len(seeds):
        raise InputError(f'two runs of {key[0]} with {key[1]} share a seed ({seeds}); give one of them another name, '
                         'or move it away')
    scores = [run['scores'] for run in runs]
    return {
        'experiment': key[0], 'backbone': key[1], 'label_fraction': key[2], 'variant': key[3], 'seeds': seeds,
        **_means(scores), 'test_data': scores[0]['data'], 'split': scores[0]['split'],
        'test_time_augmentation': scores[0]['test_time_augmentation'], 'parameters': runs[0]['parameters'],
        'scans': runs[0]['scans'],
        'runs': [{'seed': run['seed'], 'miou': run['scores']['miou'], 'minutes': run['minutes'],
                  'steps': run['steps_done'], 'processes': run['processes'], 'threads': run['threads'],
                  'hardware': run['hardware'], 'commit': run['commit'], 'command': run['command'],
                  'evaluate': run['scores']['command']} for run in runs]}


def _means(scores: Sequence[Row]) -> Row:
    values = [score['miou'] for score in scores]
    names = dict.fromkeys(name for score in scores for name in score['per_class'])
    return {
        'sweeps': scores[0]['sweeps'],
        'miou_mean': round(mean(values), 2), 'miou_std': round(stdev(values), 2) if len(values) > 1 else None,
        **{name: _mean([score[name] for score in scores]) for name in ('miou_in_frustum', 'miou_out_of_frustum')},
        'miou_by_distance': {name: _mean([score['miou_by_distance'][name] for score in scores])
                             for name in scores[0]['miou_by_distance']},
        'per_class': {name: _mean([score['per_class'].get(name) for score in scores]) for name in names}}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(mean(known), 2) if known else None


def markdown(rows: Sequence[Row], note: str = '') -> str:
    """The page: a ``note`` of the author's, a table of experiments, IoU by class, and the commands behind the numbers.
    """
    lines = ['# Results', '',
             'Written by `sam2amml results`; the same numbers are in [results.json](results.json). mIoU in percent, '
             'mean and standard', 'deviation over seeds, scored as the benchmark of the data does, last checkpoint, '
             'no test-time augmentation unless it says so.', '', *([note, ''] if note else []),
             '| experiment | backbone | labels | variant | trained on | seeds | tested on | mIoU | in view '
             '| out of view | minutes | hardware |', '|---|---|---|---|---|---|---|---|---|---|---|---|']
    for row in rows:
        spread = '' if row['miou_std'] is None else f' ± {row["miou_std"]:.2f}'
        runs = row['runs']
        minutes = [run['minutes'] for run in runs if 'minutes' in run]
        tta = f' ({row["test_time_augmentation"]})' if row.get('test_time_augmentation') else ''
        lines.append(
            f'| {row["experiment"]} | {row["backbone"]} | {100 * row["label_fraction"]:g} % | {row["variant"]}{tta} | '
            f'{_trained_on(row)} | {", ".join(map(str, row["seeds"])) or "-"} | '
            f'{row["sweeps"]} sweeps of {row["test_data"]} {row["split"]} | {row["miou_mean"]:.2f}{spread} | '
            f'{_cell(row["miou_in_frustum"])} | {_cell(row["miou_out_of_frustum"])} | '
            f'{f"{mean(minutes):.1f}" if minutes else "-"} | {runs[0].get("hardware", "-")} |')
    lines += ['', '## By distance and class', '', _wide(rows), '', '## Command -> number', '']
    for row in rows:
        for run in row['runs']:
            seed = f', seed {run["seed"]}' if 'seed' in run else ''
            lines.append(f'- {row["experiment"]}, {row["backbone"]}{seed}: **{run["miou"]:.2f}** at commit '
                         f'`{run["commit"]}`')
            lines += [f'  - `{run[name]}`' for name in ('command', 'evaluate') if run.get(name)]
    return '\n'.join(lines) + '\n'


def _trained_on(row: Row) -> str:
    if 'scans' not in row:
        return 'see bundle.yaml'
    return f'{row["scans"]} sweeps, {" / ".join(map(str, sorted({run["steps"] for run in row["runs"]})))} steps'


def _wide(rows: Sequence[Row]) -> str:
    heads = [f'{row["experiment"]}, {row["backbone"]}, on {row["test_data"]}' for row in rows]
    names = dict.fromkeys(name for row in rows for name in (*row['miou_by_distance'], *row['per_class']))
    lines = ['| | ' + ' | '.join(heads) + ' |', '|---|' + '---|' * len(rows)]
    for name in names:
        values = ({**row['miou_by_distance'], **row['per_class']}.get(name) for row in rows)
        lines.append(f'| {name} | ' + ' | '.join(_cell(value) for value in values) + ' |')
    return '\n'.join(lines)


def _cell(value: float | None) -> str:
    return '-' if value is None else f'{value:.1f}'
