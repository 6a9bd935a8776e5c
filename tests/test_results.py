"""Rows of results from runs: seeds together, differences seed by seed, old runs beside new ones."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip('torch', reason='records of runs need torch (extra [train])')
pytest.importorskip('scipy', reason='intervals need scipy (extra [train])')

from sam2amml_core.errors import InputError
from training.results import pooled, rows_of, together
from training.results_page import markdown
from training.scoring.paired import paired


def run(backbone: str, variant: str, seed: int, miou: float, **changes: Any) -> dict[str, Any]:
    return {'experiment': 'amml', 'backbone': backbone, 'label_fraction': 0.1, 'variant': variant, 'seed': seed,
            'test_data': 'world', 'split': 'test', 'sweeps': 4, 'test_time_augmentation': None, 'parameters': 10,
            'scans': 8, 'miou': miou, 'miou_in_frustum': 2 * miou, 'miou_out_of_frustum': None,
            'miou_by_distance': {'0-10 m': miou}, 'per_class': {'car': miou, 'road': None}, 'minutes': 1.0, 'steps': 5,
            'hardware': 'two cores', 'commit': 'abc', 'command': f'train {backbone}', 'evaluate': 'evaluate', **changes}


def runs() -> list[dict[str, Any]]:
    return [run(backbone, variant, seed, base + gain * (variant == 'sam2') + seed)
            for backbone, base, gain in (('a', 20.0, 1.0), ('b', 30.0, 3.0)) for variant in ('baseline', 'sam2')
            for seed in (0, 1)]


def test_interval_of_students_t() -> None:
    # differences 1, 2, 3: s = 1, t(0.975, 2) = 4.3027, half = 2.484
    assert paired([11, 22, 33], [10, 20, 30]) == {'pairs': 3, 'mean': 2.0, 'low': -0.48, 'high': 4.48}
    assert paired([11], [10]) == {'pairs': 1, 'mean': 1.0, 'low': None, 'high': None}
    with pytest.raises(ValueError, match='shorter'):
        paired([1, 2], [1])


def test_variants_are_compared_with_the_baseline_of_their_seeds() -> None:
    rows = rows_of([*runs(), run('a', 'sam2', 7, 90.0)])  # seed 7 has no baseline
    a, better_a, _, better_b = rows
    assert (a['variant'], a['miou_mean'], a['miou_std'], a['seeds']) == ('baseline', 20.5, 0.71, [0, 1])
    assert better_a['seeds'] == [0, 1, 7] and better_a['versus_baseline']['miou']['pairs'] == 2
    assert better_a['versus_baseline']['miou'] == {'pairs': 2, 'mean': 1.0, 'low': 1.0, 'high': 1.0}
    assert better_a['versus_baseline']['per_class'] == {
        'car': {'pairs': 2, 'mean': 1.0, 'low': 1.0, 'high': 1.0}, 'road': None}
    assert better_b['versus_baseline']['miou_in_frustum']['mean'] == 6.0
    assert better_b['versus_baseline']['miou_out_of_frustum'] is None and 'versus_baseline' not in a
    assert a['per_class'] == {'car': 20.5, 'road': None}


def test_backbones_are_pooled_pair_by_pair() -> None:
    rows = rows_of(runs())
    (row,) = pooled(rows)
    assert (row['experiment'], row['label_fraction'], row['variant']) == ('amml', 0.1, 'sam2')
    # differences 1, 1, 3, 3: s = 2 / sqrt(3), t(0.975, 3) = 3.1824, half = 1.837
    assert row['versus_baseline']['miou'] == {'pairs': 4, 'mean': 2.0, 'low': 0.16, 'high': 3.84}
    page = markdown(rows, [row], 'A note.')
    assert '| amml | all | 10 % | sam2 | 4 | +2.00 [+0.16, +3.84] |' in page and 'A note.' in page
    assert '| amml | pairs | car | road |' in page and '| all, 10 %, sam2 | 4 | **+2.0** | - |' in page
    assert '| amml | a | 10 % | baseline | 8 sweeps, 5 steps | 0, 1 | 4 sweeps of world test | 20.50 ± 0.71 |' in page
    assert 'amml, b, 10 % labels, sam2, seed 1: **34.00** at commit `abc`' in page


def test_new_runs_take_the_place_of_old_ones_with_their_seed() -> None:
    joined = together([run('a', 'sam2', 0, 50.0)], runs())
    assert len(joined) == len(runs())
    assert [r['miou'] for r in joined if (r['backbone'], r['variant'], r['seed']) == ('a', 'sam2', 0)] == [50.0]


def test_rows_do_not_mix_what_was_tested_on_different_data() -> None:
    with pytest.raises(InputError, match='differ in sweeps: \\[4, 5\\]; score them alike'):
        rows_of([run('a', 'baseline', 0, 1.0), run('a', 'baseline', 1, 1.0, sweeps=5)])
    with pytest.raises(InputError, match='share a seed'):
        rows_of([run('a', 'baseline', 0, 1.0), run('a', 'baseline', 0, 1.0)])
