"""What masks do to labels, against a loop over masks."""

from __future__ import annotations

import numpy as np
import pytest

from sam2amml_core.errors import InputError
from sam2amml_core.frame import UNKNOWN, PointLabels
from sam2amml_core.masks.refine import CHANGED, CONFIRMED, RefineSettings, confirm


def random_labels(seed: int) -> tuple[PointLabels, np.ndarray]:
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 40, 2000)
    kind = np.where(rng.random(2000) < 0.85, 1 + ids % 7, rng.integers(1, 20, 2000)).astype(np.uint8)
    kind[rng.random(2000) < 0.05] = UNKNOWN
    return PointLabels(kind, rng.uniform(0.2, 1, 2000).astype(np.float32)), ids


@pytest.mark.parametrize('seed', range(3))
def test_masks_confirm_and_change_as_a_loop_does(seed: int) -> None:
    labels, ids = random_labels(seed)
    settings = RefineSettings()
    found, source = confirm(labels, ids, settings)
    kind, expected = labels.class_id.copy(), np.zeros(len(ids), int)
    for mask in range(1, 40):
        rows = np.flatnonzero((ids == mask) & (labels.class_id != UNKNOWN))
        votes = {c: labels.probability[rows][labels.class_id[rows] == c].sum() for c in set(labels.class_id[rows])}
        winner = max(votes, key=lambda c: (votes[c], -int(c)))
        if len(rows) < settings.least_points or votes[winner] < settings.least_share * sum(votes.values()):
            continue
        for row in rows:
            if labels.class_id[row] == winner:
                expected[row] = CONFIRMED
            elif labels.probability[row] < settings.unsure:
                kind[row], expected[row] = winner, CHANGED
    assert {0, CONFIRMED, CHANGED} == set(expected)
    assert np.array_equal(source, expected) and np.array_equal(found.class_id, kind)
    same = source != CHANGED
    assert np.array_equal(found.probability[same], labels.probability[same])
    assert (found.probability[~same] >= settings.least_share).all()


def test_without_masks_nothing_changes() -> None:
    labels, ids = random_labels(0)
    found, source = confirm(labels, np.zeros_like(ids))
    assert found is labels and not source.any()
    with pytest.raises(InputError, match='one for each point'):
        confirm(labels, ids[:-1])
