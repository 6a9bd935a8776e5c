"""Fusion: who gets a pixel, what is merged or dropped, and how little memory it takes."""

from __future__ import annotations

import tracemalloc

import cv2
import numpy as np
import pytest

from sam2amml_core.masks.fusion import (
    LOGIT_STEP,
    Candidate,
    FusionSettings,
    agreement,
    fuse,
    quantised,
    stability,
)
from sam2amml_core.masks.mask_set import Provenance, make_mask_set
from sam2amml_core.masks.surface_cut import cut_surfaces

OFF = FusionSettings(merge=False, suppress=False)
NOBODY = np.zeros(0, np.int32)


def candidate(proposal: int, logits: np.ndarray, rect: tuple[int, int, int, int], score: float = 0.5,
              surface: bool = False, members: np.ndarray = NOBODY) -> Candidate:
    return Candidate(proposal, surface, quantised(logits), rect, score, members)


def test_a_pixel_goes_to_the_highest_logit_and_objects_lie_above_surfaces() -> None:
    rng = np.random.default_rng(0)
    shape, rect = (60, 80), (8, 4, 72, 52)
    logits = [cv2.resize(rng.normal(0, 6, (4, 5)).astype(np.float32), (16, 12)) for _ in range(4)]
    made = [candidate(k, value, rect, 0.5, k >= 2) for k, value in enumerate(logits)]
    ids, score, surface = fuse(made, NOBODY, shape, OFF)
    full = np.full((4, *shape), -99.0)
    for k, value in enumerate(logits):
        full[k, 4:52, 8:72] = cv2.resize(np.asarray(quantised(value), np.float32) * LOGIT_STEP, (64, 48))
    clear = np.abs(full).min(axis=0) > 1
    things, stuff = full[:2], full[2:]
    expected = np.where(things.max(0) > 0, 3 + things.argmax(0), np.where(stuff.max(0) > 0, 1 + stuff.argmax(0), 0))
    close = (np.abs(full[0] - full[1]) < 1) | (np.abs(full[2] - full[3]) < 1)
    close &= full.max(axis=0) > 0
    usable = clear & ~close
    assert usable.sum() > 500 and len(np.unique(expected[usable])) == 5
    assert (ids[usable] == expected[usable]).mean() > 0.995
    assert surface.tolist() == [False, True, True, False, False] and len(score) == 5


@pytest.mark.parametrize('merge', [True, False])
def test_objects_that_cover_each_other_are_one(merge: bool) -> None:
    number = np.repeat([1, 2, 3], 10).astype(np.int32)
    everything = np.full((4, 4), 5.0)
    made = [candidate(1, everything, (0, 0, 40, 40), 0.9, members=np.arange(20, dtype=np.int32)),
            candidate(2, everything, (2, 2, 38, 38), 0.6, members=np.arange(2, 20, dtype=np.int32)),
            candidate(3, everything, (50, 0, 60, 40), 0.7, members=np.arange(20, 30, dtype=np.int32))]
    settings = FusionSettings(merge=merge, suppress=False)
    ids, score, _ = fuse(made, number, (50, 70), settings)
    assert len(score) - 1 == (2 if merge else 3)
    assert set(np.unique(ids)) == ({0, 1, 2} if merge else {0, 1, 2, 3})


def test_repeats_are_suppressed_but_not_parts_of_something_larger() -> None:
    number = np.zeros(30, np.int32)
    full = np.full((4, 4), 5.0)
    points = np.arange(30, dtype=np.int32)
    made = [candidate(1, full, (0, 0, 20, 20), 0.9, members=points[:20]),
            candidate(2, full, (0, 0, 20, 20), 0.5, members=points[:19]),
            candidate(3, full, (0, 0, 8, 8), 0.4, members=points[:6])]
    assert len(fuse(made, number, (30, 30), FusionSettings(merge=False))[1]) - 1 == 2
    assert len(fuse(made, number, (30, 30), OFF)[1]) - 1 == 3


def test_scores_of_masks() -> None:
    own = np.array([1, 1, 1, 0, 0, 0], bool)
    rival = np.array([0, 0, 0, 1, 1, 0], bool)
    inside = np.array([[1, 1, 1, 0, 0, 1], [1, 1, 1, 1, 1, 0], [0, 0, 0, 1, 0, 0]], bool)
    assert agreement(inside, own, rival) == pytest.approx([1, 0.6, 0])
    sharp = np.where(np.arange(10)[:, None] < 5, 8.0, -8.0) * np.ones((10, 10))
    soft = np.linspace(2, -2, 10)[:, None] * np.ones((10, 10))
    assert stability(np.stack((sharp, soft))) == pytest.approx([1.0, 3 / 7])


def test_fusion_needs_less_than_two_id_maps() -> None:
    rng = np.random.default_rng(0)
    shape = (375, 1242)
    made = []
    for k in range(40):
        x, y, w, h = int(rng.integers(0, 1000)), int(rng.integers(0, 250)), int(rng.integers(20, 200)), 90
        made.append(candidate(k, rng.normal(0, 5, (24, 32)), (x, y, x + w, y + h)))
    made.append(candidate(99, rng.normal(2, 5, (64, 64)), (0, 0, 1242, 375), surface=True))
    tracemalloc.start()
    ids, score, _ = fuse(made, NOBODY, shape, OFF)
    masks = make_mask_set(ids, Provenance('t'), score, in_place=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(masks) > 20 and masks.id_map is ids
    assert peak < 2 * ids.nbytes


def test_surfaces_are_cut_along_superpixels_and_objects_are_not() -> None:
    ids = np.zeros((40, 60), np.uint16)
    ids[20:], ids[25:35, 20:40] = 1, 2
    before = ids.copy()
    pieces = np.tile(np.repeat([1, 2, 3], 10), (20, 1))
    pieces[:, 29] = 4
    former = cut_surfaces(ids, np.array([False, True, False]), pieces, smallest=60)
    assert np.array_equal(former[ids], before)
    assert (ids[25:35, 20:40] == 2).all() and (ids[:20] == 0).all()
    ground = ids[before == 1]
    assert len(np.unique(ground)) == 4
    assert (ids[20:, 58:][before[20:, 58:] == 1] == 1).all()
