"""Projection of points into cameras, against the plain float64 chain."""

from __future__ import annotations

import numpy as np
import pytest

from sam2amml_core.errors import InputError
from sam2amml_core.frame import Camera
from sam2amml_core.geometry.projection import MIN_DEPTH_M, project
from sam2amml_core.geometry.transforms import OPTICAL_FROM_BODY, quaternion_to_matrix, transform

K = np.array([[1266.4, 0, 816.3, 0], [0, 1266.4, 491.5, 0], [0, 0, 1, 0]])


def rig(count: int = 6) -> list[Camera]:
    cameras = []
    for m in range(count):
        half = np.pi * m / count
        rotation = quaternion_to_matrix(np.array([0, 0.01, np.sin(half), np.cos(half)]))
        body = transform(rotation, np.array([1.5, 0.3, -0.3]))
        cameras.append(Camera(f'c{m}', 1600, 900, K, OPTICAL_FROM_BODY @ np.linalg.inv(body)))
    return cameras


def cloud(count: int) -> np.ndarray:
    random = np.random.default_rng(0)
    return (random.normal(0, 1, (count, 3)) * (30, 30, 3)).astype(np.float32)


def reference(xyz: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    points = np.hstack((xyz.astype(np.float64), np.ones((len(xyz), 1))))
    image = points @ (camera.projection @ camera.T_camera_lidar).T
    return image[:, :2] / image[:, 2:], image[:, 2]


@pytest.mark.parametrize('count', [1, 8192, 20_001])
def test_pixels_agree_with_the_float64_chain(count: int) -> None:
    xyz = cloud(count)
    cameras = rig()
    for camera, points in zip(cameras, project(xyz, cameras), strict=True):
        uv, depth = reference(xyz, camera)
        sure = (depth > MIN_DEPTH_M + 1e-3) & (uv > 1e-3).all(axis=1) & (uv < np.array((1600, 900)) - 1e-3).all(axis=1)
        inside = (uv > -1e-3).all(axis=1) & (uv < np.array((1600, 900)) + 1e-3).all(axis=1)
        maybe = (depth > MIN_DEPTH_M - 1e-3) & inside
        assert set(np.flatnonzero(sure)) <= set(points.index) <= set(np.flatnonzero(maybe))
        assert (np.diff(points.index) > 0).all()
        if len(points):
            assert np.abs(points.uv - uv[points.index]).max() < 1e-3
            assert np.allclose(points.depth, depth[points.index], rtol=1e-5)


def test_global_translations_cancel_in_float64() -> None:
    """Extrinsics composed over world coordinates of kilometres stay exact: the matrix is fused before the cast."""
    world = transform(quaternion_to_matrix(np.array([0, 0, 0.6, 0.8])), np.array([1.2e5, -3.4e5, 50.0]))
    camera = rig(1)[0]
    moved = Camera('m', 1600, 900, K, camera.T_camera_lidar @ np.linalg.inv(world) @ world)
    xyz = cloud(5000)
    first, second = project(xyz, [camera])[0], project(xyz, [moved])[0]
    assert np.array_equal(first.index, second.index)
    assert np.abs(first.uv - second.uv).max() < 1e-3


def test_every_pixel_lies_in_its_image() -> None:
    camera = Camera('tiny', 3, 2, np.array([[1.0, 0, 1.5, 0], [0, 1, 1, 0], [0, 0, 1, 0]]), np.eye(4))
    u, v = np.meshgrid(np.linspace(-1, 4, 501), np.linspace(-1, 3, 401))
    uv = np.stack((u.ravel(), v.ravel()), axis=1)
    xyz = np.column_stack(((uv - (1.5, 1)) * 7, np.full(len(uv), 7.0))).astype(np.float32)
    points = project(xyz, [camera])[0]
    assert points.pixel.min() == 0 and points.pixel[:, 0].max() == 2 and points.pixel[:, 1].max() == 1
    assert (points.uv >= 0).all() and (points.uv < (3, 2)).all()


def test_the_image_corner_is_inside_and_the_far_edge_outside() -> None:
    camera = Camera('c', 4, 4, np.array([[1.0, 0, 2, 0], [0, 1, 2, 0], [0, 0, 1, 0]]), np.eye(4))
    xyz = np.array([[-2, -2, 1], [2, 0, 1], [0, 2, 1], [1.5, 1.5, 1]], np.float32)
    assert project(xyz, [camera])[0].index.tolist() == [0, 3]


def test_points_behind_a_camera_are_never_inside() -> None:
    xyz = cloud(4000)
    camera = rig(1)[0]
    _, depth = reference(xyz, camera)
    assert (depth[project(xyz, [camera])[0].index] > 0).all()
    mirrored = -np.array([[10.0, 0, 0]], np.float32)  # divides to the image centre, from behind
    assert len(project(mirrored, [camera])[0]) == 0


@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf])
def test_points_that_are_not_finite_are_never_inside(bad: float) -> None:
    xyz = np.tile(np.array([[20, 0, 0]], np.float32), (4, 1))
    for axis in range(3):
        xyz[axis, axis] = bad
    assert project(xyz, rig(1))[0].index.tolist() == [3]


def test_stereo_offset_of_the_projection_is_used() -> None:
    offset = K.copy()
    offset[:, 3] = (45.0, -0.3, 0.005)
    camera = Camera('p2', 1600, 900, offset, OPTICAL_FROM_BODY)
    xyz = cloud(3000)
    points = project(xyz, [camera])[0]
    assert np.abs(points.uv - reference(xyz, camera)[0][points.index]).max() < 1e-3


def test_dense_arrays_agree_with_the_sparse_ones() -> None:
    projection = project(cloud(1000), rig(2))
    assert projection.uv.shape == (2, 1000, 2) and projection.depth.shape == projection.inside.shape == (2, 1000)
    for m, points in enumerate(projection):
        assert np.array_equal(np.flatnonzero(projection.inside[m]), points.index)
        assert np.array_equal(projection.uv[m, points.index], points.uv)
        assert np.isnan(projection.depth[m, ~projection.inside[m]]).all()


def test_nothing_to_project_gives_nothing() -> None:
    assert [len(points) for points in project(np.zeros((0, 3), np.float32), rig(2))] == [0, 0]
    assert len(project(cloud(5), [])) == 0


def test_bad_arguments_are_named() -> None:
    with pytest.raises(InputError, match=r'\[N, 3\]'):
        project(np.zeros((4, 4), np.float32), rig(1))
    with pytest.raises(InputError, match='min_depth'):
        project(cloud(1), rig(1), min_depth=0.0)
