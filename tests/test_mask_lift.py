"""Lifting masks to points: against one point at a time, and with overlapping cameras."""

from __future__ import annotations

import numpy as np
import pytest

from sam2amml_core.errors import InputError
from sam2amml_core.frame import Camera
from sam2amml_core.geometry.projection import project
from sam2amml_core.geometry.visibility import visible_points
from sam2amml_core.masks.lift import mask_offsets, point_mask_ids
from sam2amml_core.masks.mask_set import MaskSet, Provenance, make_mask_set

OPTICAL = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], float)


def camera(yaw: float, name: str = 'c') -> Camera:
    c, s = np.cos(yaw), np.sin(yaw)
    body = np.array([[c, -s, 0, 0.3], [s, c, 0, 0.1], [0, 0, 1, -0.4], [0, 0, 0, 1]])
    matrix = np.array([[60.0, 0, 40, 0], [0, 60, 30, 0], [0, 0, 1, 0]])
    return Camera(name, 80, 60, matrix, OPTICAL @ np.linalg.inv(body))


def rig_and_masks(seed: int) -> tuple[np.ndarray, list[Camera], list[MaskSet]]:
    rng = np.random.default_rng(seed)
    xyz = rng.uniform((-20, -20, -2), (20, 20, 3), (1500, 3)).astype(np.float32)
    xyz[5] = np.nan
    cameras = [camera(0.0), camera(0.5), camera(2.5)]
    tile = np.ones((10, 10), int)
    masks = [make_mask_set(np.kron(rng.integers(0, 9, (6, 8)), tile), Provenance('t')) for _ in cameras]
    return xyz, cameras, masks


@pytest.mark.parametrize('seed', range(3))
def test_every_point_gets_the_mask_of_its_best_camera(seed: int) -> None:
    xyz, cameras, masks = rig_and_masks(seed)
    found = point_mask_ids(xyz, cameras, masks)
    projection = project(xyz, cameras)
    offsets = mask_offsets(masks)
    expected = np.zeros(len(xyz), int)
    best = np.zeros(len(xyz))
    for m, points in enumerate(projection):
        seen = visible_points(points, cameras[m])
        for k, n in enumerate(points.index):
            u, v = points.uv[k]
            mask = masks[m].id_map[int(v), int(u)]
            margin = min(u / 80, 1 - u / 80, v / 60, 1 - v / 60)
            if seen[k] and mask and margin > best[n] + 1e-7:
                best[n], expected[n] = margin, mask + offsets[m]
    assert (expected > 0).sum() > 100
    assert np.array_equal(found, expected)
    assert found.dtype == np.int32 and found.max() <= offsets[-1] and found[5] == 0


def test_what_is_known_already_changes_nothing() -> None:
    xyz, cameras, masks = rig_and_masks(0)
    projection = project(xyz, cameras)
    seen = [visible_points(p, c) for p, c in zip(projection, cameras, strict=True)]
    assert np.array_equal(point_mask_ids(xyz, cameras, masks, projection, seen), point_mask_ids(xyz, cameras, masks))


def test_points_behind_a_surface_get_no_mask() -> None:
    y, z = np.meshgrid(np.arange(-2, 2, 0.1), np.arange(-1.5, 1.5, 0.1))
    wall = np.stack((np.full(y.size, 8.0), y.ravel(), z.ravel()), axis=1)
    behind = np.array([[16.0, 0.0, 0.0]])
    xyz = np.concatenate((wall, behind)).astype(np.float32)
    everything = make_mask_set(np.ones((60, 80), int), Provenance('t'))
    found = point_mask_ids(xyz, [camera(0.0)], [everything])
    assert found[:-1].min() == 1 and found[-1] == 0
    assert point_mask_ids(xyz[-1:], [camera(0.0)], [everything]).tolist() == [1]


def test_id_maps_may_come_bare_and_clouds_empty() -> None:
    xyz, cameras, masks = rig_and_masks(1)
    bare = [item.id_map for item in masks]
    assert np.array_equal(point_mask_ids(xyz, cameras, bare), point_mask_ids(xyz, cameras, masks))
    assert point_mask_ids(np.zeros((0, 3), np.float32), cameras, masks).shape == (0,)
    assert point_mask_ids(xyz, [], []).max() == 0


def test_masks_must_fit_their_cameras() -> None:
    xyz, cameras, masks = rig_and_masks(0)
    with pytest.raises(InputError, match='2 mask sets for 3'):
        point_mask_ids(xyz, cameras, masks[:2])
    with pytest.raises(InputError, match='camera c: masks of 40 x 30 pixels'):
        point_mask_ids(xyz, cameras, [masks[0], masks[1], np.zeros((30, 40), np.uint16)])
