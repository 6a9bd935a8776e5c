from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip('torch')

from sam2amml_core.labels import schema as find_schema
from training.augment import (
    augment,
    bend_ground,
    drop_points,
    move_sensor,
    rotation,
    vary_intensity,
    vary_material,
)
from training.augment_material import STREET_EXCHANGES, Exchange, exchange_materials
from training.augment_mix import mix_bands, mix_sector, paste_objects
from training.augment_surface import smoothed_range, vary_roughness
from training.labelled_sweep import LabelledSweep


def sweep(seed: int = 0, beams: int = 16, columns: int = 200) -> LabelledSweep:
    random = np.random.default_rng(seed)
    elevation, azimuth = np.meshgrid(np.deg2rad(np.linspace(2, -24, beams)), np.linspace(3.1, -3.1, columns),
                                     indexing='ij')
    distance = random.uniform(3, 50, (beams, columns))
    xyz = np.stack([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)], -1)
    xyz = (xyz * distance[..., None]).reshape(-1, 3).astype(np.float32)
    ring = np.repeat(np.arange(beams - 1, -1, -1, dtype=np.uint8), columns)
    label = random.integers(0, 20, len(xyz)).astype(np.uint8)
    # the label is also written into the intensity, so that a mix-up of points would show
    return LabelledSweep(xyz, (label / 20).astype(np.float32), ring, label)


@pytest.mark.parametrize('change', [move_sensor, vary_intensity, vary_material, vary_roughness, drop_points])
@pytest.mark.parametrize('seed', range(12))
def test_every_change_keeps_a_sweep_well_formed(change: Callable, seed: int) -> None:
    before = sweep(seed)
    after = change(before, np.random.default_rng(seed))
    assert len(after.xyz) == len(after.intensity) == len(after.ring) == len(after.label) > 0
    assert after.xyz.dtype == after.intensity.dtype == np.float32
    assert np.isfinite(after.xyz).all()
    assert after.intensity.min() >= 0
    assert after.intensity.max() <= 1
    if len(after) == len(before):
        np.testing.assert_array_equal(after.label, before.label)


@pytest.mark.parametrize('seed', range(6))
def test_the_same_random_state_gives_the_same_sweep(seed: int) -> None:
    first = augment(sweep(1), sweep(2), np.random.default_rng(seed))
    second = augment(sweep(1), sweep(2), np.random.default_rng(seed))
    for name in ('xyz', 'intensity', 'label'):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_inputs_are_not_changed() -> None:
    original, copy = sweep(4), sweep(4)
    for seed in range(10):
        augment(original, original, np.random.default_rng(seed))
    np.testing.assert_array_equal(original.xyz, copy.xyz)
    np.testing.assert_array_equal(original.intensity, copy.intensity)


@pytest.mark.parametrize('mix', [mix_bands, mix_sector])
@pytest.mark.parametrize('seed', range(8))
def test_mixed_points_come_whole_from_either_sweep_and_regions_do_not_overlap(mix: Callable, seed: int) -> None:
    first, second = sweep(1), sweep(2)
    mixed = mix(first, second, np.random.default_rng(seed))
    np.testing.assert_allclose(mixed.intensity * 20, mixed.label, atol=1e-5)
    rows = {tuple(p) for s in (first, second) for p in s.xyz.tolist()}
    assert all(tuple(p) in rows for p in mixed.xyz.tolist())
    # the two sweeps share their directions, so each direction must come from exactly one of them
    direction = np.round(mixed.xyz / np.linalg.norm(mixed.xyz, axis=1, keepdims=True), 3)
    assert len(np.unique(direction, axis=0)) == len(mixed) == len(first)


def test_mixing_a_sweep_with_itself_changes_nothing() -> None:
    one = sweep(3)
    for mix in (mix_bands, mix_sector):
        mixed = mix(one, one, np.random.default_rng(0))
        assert sorted(mixed.xyz.tolist()) == sorted(one.xyz.tolist())


def test_rotation_turns_as_expected() -> None:
    np.testing.assert_allclose(rotation(np.pi / 2, 0, 0) @ [1, 0, 0], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(rotation(0, np.pi / 2, 0) @ [0, 0, 1], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(rotation(0, 0, np.pi / 2) @ [0, 1, 0], [0, 0, 1], atol=1e-12)
    turn = rotation(0.3, -0.2, 0.1)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)


def test_bent_ground_stays_put_below_the_sensor_and_moves_only_upwards_or_downwards() -> None:
    xyz = np.concatenate((np.zeros((1, 3)), np.random.default_rng(0).uniform(-50, 50, (500, 3))))
    for seed in range(5):
        bent = bend_ground(xyz, np.random.default_rng(seed))
        np.testing.assert_array_equal(bent[:, :2], xyz[:, :2])
        assert abs(bent[0, 2]) < 1e-9
        assert np.abs(bent[:, 2] - xyz[:, 2]).max() > 0.01


def test_smoothing_averages_neighbours_of_the_same_beam_class_and_surface_only() -> None:
    distance = np.array([10.0, 10.4, 30.0, 10.2, 10.0, 10.0])
    ring = np.array([0, 0, 0, 0, 0, 1])
    label = np.array([1, 1, 1, 1, 2, 1])
    result = smoothed_range(distance, ring, label)
    np.testing.assert_allclose(result, [10.2, 10.2, 30, 10.2, 10, 10])


def test_roughness_moves_points_along_their_rays_only() -> None:
    before = sweep(5)
    after = vary_roughness(before, np.random.default_rng(0))
    unit = [s.xyz / np.linalg.norm(s.xyz, axis=1, keepdims=True) for s in (before, after)]
    np.testing.assert_allclose(unit[0], unit[1], atol=1e-5)
    assert np.abs(after.xyz - before.xyz).max() > 0.01
    shuffled = np.random.default_rng(1).permutation(len(before))
    order = shuffled[np.argsort(-before.ring[shuffled].astype(int), kind='stable')]
    assert len(order) == len(before)


def test_pasted_objects_hide_what_is_behind_them_and_are_hidden_by_what_is_before() -> None:
    def line(distances: list[float], label: int) -> LabelledSweep:
        count = len(distances)
        xyz = np.zeros((count, 3), np.float32)
        xyz[:, 0] = distances
        return LabelledSweep(xyz, np.zeros(count, np.float32), np.arange(count, dtype=np.uint8),
                             np.full(count, label, np.uint8))

    street = line([10.0, 10.0, 10.0], 9)
    objects = line([5.0, 20.0, 8.0], 6)
    repeated = street.take(np.repeat(np.arange(3), 512))
    angle = np.tile(np.linspace(-np.pi, np.pi, 512, endpoint=False), 3)
    everywhere = repeated.with_xyz(np.stack([10 * np.cos(angle), 10 * np.sin(angle), 0 * angle], 1))
    pasted = paste_objects(everywhere, objects, np.array([6], np.uint8), 1, np.random.default_rng(0))
    new = pasted.label == 6
    np.testing.assert_allclose(sorted(np.linalg.norm(pasted.xyz[new], axis=1)), [5, 8], atol=1e-5)  # 20 m is behind
    assert len(everywhere) - 2 <= (~new).sum() <= len(everywhere)
    assert paste_objects(everywhere, objects, np.array([7], np.uint8), 2, np.random.default_rng(0)) is everywhere


def test_exchanged_points_change_class_and_no_others_do() -> None:
    before = sweep(6)
    names = find_schema('semantic_kitti').names
    always = (Exchange('fence', 'vegetation', 1.0, gain=0.5),)
    seen = set()
    for seed in range(12):
        after = exchange_materials(before, always, 'semantic_kitti', np.random.default_rng(seed))
        fence = before.label == names.index('fence')
        seen.add(bool((after.label[fence] == names.index('vegetation')).all()))
        np.testing.assert_array_equal(after.label[~fence], before.label[~fence])
        np.testing.assert_allclose(after.xyz[~fence], before.xyz[~fence], rtol=1e-5)
    assert seen == {True, False}  # in some sweeps, not in all
    for exchange in STREET_EXCHANGES:
        assert {exchange.source, exchange.target} <= set(names)


def test_intensity_is_sometimes_taken_away_and_sometimes_left() -> None:
    results = [vary_intensity(sweep(), np.random.default_rng(seed)).intensity.any() for seed in range(60)]
    assert 0.6 < np.mean(results) < 0.95
