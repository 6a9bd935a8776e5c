"""The house augmentation, and mask ids through any chain of any augmentation."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip('torch')
from hypothesis import given, settings
from hypothesis import strategies as st

from training.augment import drop_points, move_sensor, vary_intensity
from training.augment_house import House, augment_house, laser_or_polar_mix, move
from training.augment_mix import insert, mix_bands, mix_sector, paste_instances, paste_objects
from training.augment_surface import vary_roughness
from training.datasets.scans import MASKS_PER_SCAN
from training.labelled_sweep import LabelledSweep

SCANS, MASKS = 4, 9


def scan(number: int, points: int = 400) -> LabelledSweep:
    """A sweep whose labels tell scan and mask of every point: label = 1 + number * MASKS + mask, mask 0 = none."""
    random = np.random.default_rng(number)
    xyz = random.uniform(-20, 20, (points, 3)).astype(np.float32)
    xyz[:, 2] = random.uniform(-2, 1, points)
    mask = random.integers(0, MASKS, points)
    return LabelledSweep(
        xyz, random.random(points, np.float32), random.integers(0, 16, points).astype(np.uint8),
        (1 + number * MASKS + mask).astype(np.uint8),
        np.where(mask > 0, number * MASKS_PER_SCAN + mask, 0).astype(np.int64), mask.astype(np.uint32) % 4)


OBJECTS = np.arange(1, 1 + SCANS * MASKS, 2)
GROUND = np.arange(1, 1 + SCANS * MASKS)
OPERATIONS = {
    'bands': mix_bands, 'sector': mix_sector, 'insert': lambda a, b, rng: insert(a, b),
    'paste': lambda a, b, rng: paste_objects(a, b, OBJECTS, 3, rng),
    'instances': lambda a, b, rng: paste_instances(a, b, OBJECTS, GROUND, 4, rng, least=3),
    'laser or polar': lambda a, b, rng: laser_or_polar_mix(a, b, OBJECTS, rng),
    'house': lambda a, b, rng: augment_house(a, lambda: b, House(pasted=tuple(OBJECTS), ground=tuple(GROUND)), rng),
    'move': lambda a, b, rng: move(a, House(), rng),
    'move sensor': lambda a, b, rng: move_sensor(a, rng), 'drop': lambda a, b, rng: drop_points(a, rng),
    'rough': lambda a, b, rng: vary_roughness(a, rng), 'intensity': lambda a, b, rng: vary_intensity(a, rng),
    'shuffle': lambda a, b, rng: a.take(rng.permutation(len(a))),
}
LINKS = st.tuples(st.sampled_from(sorted(OPERATIONS)), st.integers(0, SCANS - 1), st.integers(0, 10_000))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(start=st.integers(0, SCANS - 1), chain=st.lists(LINKS, min_size=1, max_size=6))
def test_points_share_a_mask_id_if_and_only_if_they_came_from_one_mask_of_one_scan(
        start: int, chain: list[tuple[str, int, int]]) -> None:
    sweep = scan(start)
    for name, partner, seed in chain:
        sweep = OPERATIONS[name](sweep, scan(partner), np.random.default_rng(seed))
    origin, mask = np.divmod(sweep.label.astype(np.int64) - 1, MASKS)
    np.testing.assert_array_equal(sweep.mask_id == 0, mask == 0)  # what was in no mask is in none
    pairs = np.unique(np.stack([sweep.mask_id, sweep.label], 1)[mask > 0], axis=0)
    assert len(np.unique(pairs[:, 0])) == len(np.unique(pairs[:, 1])) == len(pairs)
    assert len(sweep.instance) == len(sweep) and set(origin) <= set(range(SCANS))


def test_the_property_notices_masks_that_are_mixed_up() -> None:
    sweep = scan(0).join(scan(1))
    broken = LabelledSweep(sweep.xyz, sweep.intensity, sweep.ring, sweep.label, sweep.mask_id % MASKS_PER_SCAN)
    pairs = np.unique(np.stack([broken.mask_id, broken.label], 1)[broken.mask_id > 0], axis=0)
    assert len(np.unique(pairs[:, 0])) < len(pairs)


def test_moving_turns_mirrors_and_scales_about_the_sensor() -> None:
    before = scan(0)
    still = House(rotation_deg=0, flip=0, scale=(1, 1), jitter_m=0)
    np.testing.assert_allclose(move(before, still, np.random.default_rng(0)).xyz, before.xyz, atol=1e-5)
    mirrored = move(before, House(rotation_deg=0, flip=1, scale=(2, 2), jitter_m=0), np.random.default_rng(0))
    np.testing.assert_allclose(mirrored.xyz, before.xyz * [-2, -2, 2], atol=1e-4)
    turned = move(before, House(flip=0, scale=(1, 1), jitter_m=0), np.random.default_rng(1))
    np.testing.assert_allclose(np.linalg.norm(turned.xyz, axis=1), np.linalg.norm(before.xyz, axis=1), rtol=1e-4)
    np.testing.assert_array_equal(turned.xyz[:, 2], before.xyz[:, 2])
    assert np.abs(turned.xyz - before.xyz).max() > 0.1
    shaken = move(before, House(rotation_deg=0, flip=0, scale=(1, 1), jitter_m=0.01), np.random.default_rng(2))
    difference = shaken.xyz - before.xyz
    assert 0.008 < difference.std() < 0.012 and np.abs(difference).max() <= 0.0401


def test_an_object_stands_on_ground_at_its_own_distance_and_hides_what_is_behind_it() -> None:
    random = np.random.default_rng(0)
    angle = np.linspace(-np.pi, np.pi, 2000, endpoint=False)
    floor = np.stack([10 * np.cos(angle), 10 * np.sin(angle), np.full(2000, -1.7)], 1).astype(np.float32)
    wall = floor * [2, 2, 0]
    street = LabelledSweep(np.concatenate((floor, wall)).astype(np.float32), np.zeros(4000, np.float32),
                           np.repeat(np.array([3, 5], np.uint8), 2000), np.repeat(np.array([9, 13], np.uint8), 2000))
    person = LabelledSweep((random.uniform(-0.2, 0.2, (60, 3)) + [10.2, 0, -0.8]).astype(np.float32),
                           np.zeros(60, np.float32), np.full(60, 5, np.uint8), np.full(60, 6, np.uint8),
                           instance=np.full(60, 7, np.uint32))
    pasted = paste_instances(street, person, np.array([6]), np.array([9]), 1, np.random.default_rng(3))
    new = pasted.xyz[pasted.label == 6]
    assert len(new) == 60
    assert new[:, 2].min() == pytest.approx(-1.7, abs=1e-5)
    assert np.hypot(new[:, 0], new[:, 1]).mean() == pytest.approx(10.2, abs=0.05)
    assert 0 < (street.label == 13).sum() - (pasted.label == 13).sum() < 60  # a piece of wall behind it
    assert (pasted.label == 9).sum() == 2000
    alone = LabelledSweep(person.xyz, person.intensity, person.ring, person.label)
    assert paste_instances(street, alone, np.array([6]), np.array([9]), 1, np.random.default_rng(3)) is street


def test_half_of_the_mixes_are_laser_mix() -> None:
    first, second = scan(0), scan(1)
    rng = np.random.default_rng(0)
    both = [laser_or_polar_mix(first, second, np.zeros(0, np.uint8), rng) for _ in range(400)]
    assert 0.19 < np.mean([mixed is first for mixed in both]) < 0.31  # PolarMix without its swap
