"""Rows of results from the folders of runs: one row per experiment, its seeds together."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from sam2amml_core.errors import InputError
from training.run_record import RUN_FILE, read_record
from training.scoring.paired import paired

Row = dict[str, Any]

GROUP = ('experiment', 'backbone', 'label_fraction', 'variant')
"""What runs of one row share; they differ by seed."""

SHARED = ('test_data', 'split', 'sweeps', 'test_time_augmentation', 'parameters', 'scans')
SCORES = ('miou', 'miou_in_frustum', 'miou_out_of_frustum', 'miou_by_distance', 'per_class')
COMPARED = ('miou', 'miou_in_frustum', 'miou_out_of_frustum')
BASELINE = 'baseline'


def collect(root: Path, split: str = 'test') -> list[Row]:
    """All runs below ``root`` that ended and were scored on ``split``: what their row shares, seed, scores in percent,
    commit, hardware, wall minutes, steps, commands. Raises InputError when there is none."""
    runs = []
    for path in sorted(root.rglob(RUN_FILE)):
        record, scores = read_record(path.parent), path.parent / f'scores_{split}.json'
        if 'finished' in record and scores.is_file():
            runs.append(_run(record, read_scores(scores)))
    if not runs:
        raise InputError(f'{root} holds no finished run with scores_{split}.json; run sam2amml train, then evaluate')
    return runs


def rows_of(runs: Iterable[Row]) -> list[Row]:
    """Rows from runs, sorted by what ``GROUP`` names; means over seeds, in percent.

    experiment, backbone, label_fraction (0..1), variant, seeds
    miou_mean, miou_std, miou_in_frustum, miou_out_of_frustum, miou_by_distance, per_class
    versus_baseline    of runs with the seeds of a baseline: for each of ``COMPARED``, and in ``per_class`` for each
                       class, what ``paired`` says
    runs               per seed: scores, commit, hardware, wall minutes, steps, commands
    Raises InputError when two runs of one row share a seed, or were tested on different data.
    """
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for run in runs:
        groups[tuple(run[name] for name in GROUP)].append(run)
    rows = [_row(sorted(group, key=lambda run: run['seed'])) for _, group in sorted(groups.items())]
    baselines = {tuple(row[name] for name in GROUP[:-1]): row for row in rows if row['variant'] == BASELINE}
    for row in rows:
        baseline = baselines.get(tuple(row[name] for name in GROUP[:-1]))
        if baseline is not None and baseline is not row:
            row['versus_baseline'] = compare([(row, baseline)])
    return rows


def pooled(rows: Sequence[Row]) -> list[Row]:
    """``versus_baseline`` over all backbones, for each experiment, share of labels and variant that has several."""
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        if row.get('versus_baseline'):
            groups[row['experiment'], row['label_fraction'], row['variant']].append(row)
    baselines = {tuple(row[name] for name in GROUP[:-1]): row for row in rows if row['variant'] == BASELINE}
    return [{'experiment': key[0], 'label_fraction': key[1], 'variant': key[2],
             'versus_baseline': compare([(row, baselines[tuple(row[name] for name in GROUP[:-1])]) for row in group])}
            for key, group in sorted(groups.items()) if len(group) > 1]


def compare(rows: Sequence[tuple[Row, Row]]) -> Row | None:
    """Runs of a row against those of its baseline with the same seed, all pairs of all rows together."""
    pairs = []
    for row, baseline in rows:
        other = {run['seed']: run for run in baseline['runs']}
        pairs += [(run, other[run['seed']]) for run in row['runs'] if run['seed'] in other]
    if not pairs:
        return None
    found: Row = {name: _differences([(mine.get(name), his.get(name)) for mine, his in pairs]) for name in COMPARED}
    classes = dict.fromkeys(name for mine, _ in pairs for name in mine['per_class'])
    found['per_class'] = {name: _differences([(mine['per_class'].get(name), his['per_class'].get(name))
                                              for mine, his in pairs]) for name in classes}
    return found


def _differences(pairs: Sequence[tuple[float | None, float | None]]) -> Row | None:
    known = [(mine, his) for mine, his in pairs if mine is not None and his is not None]
    return paired([mine for mine, _ in known], [his for _, his in known]) if known else None


def runs_in(path: Path) -> list[Row]:
    """The runs that a results.json holds, or none if it is not there; rows of shipped models are none."""
    if not path.is_file():
        return []
    try:
        rows = json.loads(path.read_text(encoding='utf-8'))
        return [{**{name: row[name] for name in (*GROUP, *SHARED)}, **run}
                for row in rows if row['seeds'] for run in row['runs']]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f'{path} cannot be read: {error!r}; delete it to write it anew') from error


def together(new: Sequence[Row], old: Sequence[Row]) -> list[Row]:
    """All runs; an old one gives way to a new one of its row and seed."""
    renewed = {tuple(run[name] for name in (*GROUP, 'seed')) for run in new}
    return [*new, *(run for run in old if tuple(run[name] for name in (*GROUP, 'seed')) not in renewed)]


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
            'variant': 'shipped model', 'seeds': [], **_means([scores]), 'sweeps': scores['sweeps'],
            'test_data': scores['data'], 'split': scores['split'],
            'runs': [{'commit': scores['commit'], 'evaluate': scores['command'], 'miou': scores['miou']}]}


def _run(record: Row, scores: Row) -> Row:
    return {
        'experiment': record['name'], 'backbone': record['backbone'], 'label_fraction': float(record['fraction']),
        'variant': record['variant'], 'test_data': scores['data'], 'split': scores['split'],
        'sweeps': scores['sweeps'], 'test_time_augmentation': scores['test_time_augmentation'],
        'parameters': record['parameters'], 'scans': record['scans'], 'seed': record['seed'],
        **{name: scores[name] for name in SCORES}, 'minutes': record['minutes'], 'steps': record['steps_done'],
        'processes': record['processes'], 'threads': record['threads'], 'hardware': record['hardware'],
        'commit': record['commit'], 'command': record['command'], 'evaluate': scores['command']}


def _row(runs: list[Row]) -> Row:
    first, seeds = runs[0], [run['seed'] for run in runs]
    title = f'{first["experiment"]} with {first["backbone"]}, {first["variant"]}'
    if len(set(seeds)) < len(seeds):
        raise InputError(f'two runs of {title} share a seed ({seeds}); give one of them another name, or move it away')
    for name in ('test_data', 'split', 'sweeps', 'test_time_augmentation'):
        if len({run[name] for run in runs}) > 1:
            raise InputError(f'runs of {title} differ in {name}: {[run[name] for run in runs]}; score them alike')
    return {**{name: first[name] for name in GROUP}, 'seeds': seeds, **_means(runs),
            **{name: first[name] for name in SHARED},
            'runs': [{name: value for name, value in run.items() if name not in (*GROUP, *SHARED)} for run in runs]}


def _means(scores: Sequence[Row]) -> Row:
    values = [score['miou'] for score in scores]
    names = dict.fromkeys(name for score in scores for name in score['per_class'])
    return {
        'miou_mean': round(mean(values), 2), 'miou_std': round(stdev(values), 2) if len(values) > 1 else None,
        **{name: _mean([score[name] for score in scores]) for name in ('miou_in_frustum', 'miou_out_of_frustum')},
        'miou_by_distance': {name: _mean([score['miou_by_distance'][name] for score in scores])
                             for name in scores[0]['miou_by_distance']},
        'per_class': {name: _mean([score['per_class'].get(name) for score in scores]) for name in names}}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(mean(known), 2) if known else None
