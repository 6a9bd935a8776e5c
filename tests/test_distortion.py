"""Lens models, against OpenCV."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from sam2amml_core.errors import InputError
from sam2amml_core.frame import Camera, Distortion
from sam2amml_core.geometry.distortion import distort, ray_box, undistort, valid_radius
from sam2amml_core.geometry.projection import MIN_DEPTH_M, project
from sam2amml_core.geometry.transforms import OPTICAL_FROM_BODY, invert, quaternion_to_matrix, transform
from sam2amml_core.geometry.visibility import lidar_points

SIZE = (1280, 800)
K = np.array([[640.0, 0.3, 655.0], [0, 642.0, 388.0], [0, 0, 1]])
LENSES = {
    'barrel': Distortion('plumb_bob', (-0.32, 0.11, 0.0007, -0.0004, -0.02)),
    'pincushion': Distortion('plumb_bob', (0.21, 0.05, -0.001, 0.002)),
    'rational': Distortion('rational_polynomial', (0.8, -0.4, 0.0003, -0.0002, 0.02, 1.1, -0.2, -0.05)),
    'fisheye': Distortion('equidistant', (-0.013, 0.006, -0.004, 0.0008)),
    'plain fisheye': Distortion('equidistant', (0.0, 0.0, 0.0, 0.0)),
}


def camera(lens: Distortion | None) -> Camera:
    body = transform(quaternion_to_matrix(np.array([0.01, -0.02, 0.05, 1.0])), np.array([1.2, 0.4, -0.3]))
    pose = OPTICAL_FROM_BODY @ invert(body)
    matrix = K * ((0.55, 0.55, 1), (1, 0.55, 1), (1, 1, 1)) if lens and lens.model == 'equidistant' else K
    return Camera('c', *SIZE, np.hstack((matrix, np.zeros((3, 1)))), pose, lens)


def cloud(count: int = 60_000) -> np.ndarray:
    random = np.random.default_rng(3)
    direction = random.normal(0, 1, (count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return (direction * random.uniform(1, 60, (count, 1))).astype(np.float32)


def opencv(xyz: np.ndarray, cam: Camera) -> np.ndarray:
    """Pixels [N, 2] by OpenCV; without skew, which it does not know."""
    lens = cam.distortion
    assert lens is not None
    matrix = cam.projection[:, :3].copy()
    rotation, move = cv2.Rodrigues(cam.T_camera_lidar[:3, :3])[0], cam.T_camera_lidar[:3, 3]
    points, d = xyz.astype(np.float64)[:, None], np.array(lens.coefficients)
    run: Callable = cv2.projectPoints
    if lens.model == 'equidistant':
        run = cv2.fisheye.projectPoints
    matrix[0, 1] = 0
    return run(points, rotation, move, matrix, d)[0][:, 0]


@pytest.mark.parametrize('name', LENSES)
def test_pixels_are_those_of_opencv_and_none_is_lost_or_folded_back(name: str) -> None:
    base = camera(LENSES[name])
    projection = base.projection.copy()
    projection[0, 1] = 0
    cam = Camera('c', *SIZE, projection, base.T_camera_lidar, base.distortion)
    xyz = cloud()
    points = project(xyz, [cam])[0]
    uv = opencv(xyz, cam)
    assert np.abs(points.uv - uv[points.index]).max() < 2e-3
    optical = xyz.astype(np.float64) @ cam.T_camera_lidar[:3, :3].T + cam.T_camera_lidar[:3, 3]
    with np.errstate(all='ignore'):
        radius = np.hypot(optical[:, 0], optical[:, 1]) / optical[:, 2]
    usable = (optical[:, 2] > MIN_DEPTH_M) & (radius < 0.999 * valid_radius(LENSES[name]))
    inside = (uv > 0.01).all(axis=1) & (uv < np.array(SIZE) - 0.01).all(axis=1)
    assert set(np.flatnonzero(usable & inside)) <= set(points.index)
    assert len(points) > 3000
    np.testing.assert_allclose(points.depth, optical[points.index, 2], rtol=1e-4)


def test_points_that_a_polynomial_folds_back_into_the_image_are_culled() -> None:
    lens = LENSES['barrel']
    cam = camera(lens)
    angle = np.radians(np.linspace(0, 84, 2000))
    ray = np.stack((np.sin(angle), np.zeros_like(angle), np.cos(angle)), axis=1) * 10
    xyz = (ray - cam.T_camera_lidar[:3, 3]) @ cam.T_camera_lidar[:3, :3]
    folded = opencv(xyz, cam)
    wrongly_inside = (np.tan(angle) > valid_radius(lens)) & (folded >= 0).all(1) & (folded < SIZE).all(1)
    assert wrongly_inside.sum() > 100, 'OpenCV puts them into the image'
    points = project(xyz.astype(np.float32), [cam])[0]
    assert not wrongly_inside[points.index].any()
    assert (np.diff(points.uv[:, 0]) > 0).all(), 'farther off the axis is farther to the right'


def test_cameras_with_and_without_lens_are_projected_together() -> None:
    xyz = cloud(20_000)
    cameras = [camera(None), camera(LENSES['fisheye']), camera(LENSES['barrel'])]
    for cam, together in zip(cameras, project(xyz, cameras), strict=True):
        alone = project(xyz, [cam])[0]
        np.testing.assert_array_equal(alone.index, together.index)
        np.testing.assert_allclose(alone.uv, together.uv, atol=1e-3)


@pytest.mark.parametrize('name', LENSES)
def test_undistorted_rays_come_back_through_the_lens(name: str) -> None:
    lens, cam = LENSES[name], camera(LENSES[name])
    x0, x1, y0, y1 = ray_box(cam)
    random = np.random.default_rng(1)
    limit = min(0.95 * valid_radius(lens), 5.0)
    x, y = random.uniform(max(x0, -limit), min(x1, limit), 500), random.uniform(max(y0, -limit), min(y1, limit), 500)
    near = np.hypot(x, y) < limit
    x, y = x[near], y[near]
    back = undistort(*distort(x, y, lens), lens)
    np.testing.assert_allclose(back, (x, y), atol=1e-6)
    xyz = cloud(5000)
    points = project(xyz, [cam])[0]
    radius = valid_radius(lens)
    assert radius > 0.5
    np.testing.assert_allclose(lidar_points(points, cam), xyz[points.index], atol=0.05)


def test_a_lens_and_an_offset_in_the_projection_do_not_go_together() -> None:
    with pytest.raises(InputError, match='camera c has a lens distortion and a projection with an offset'):
        Camera('c', 10, 10, np.array([[9.0, 0, 5, 2], [0, 9, 5, 0], [0, 0, 1, 0]]), np.eye(4), LENSES['barrel'])


def test_a_lens_that_turns_the_image_round_at_its_centre_is_refused() -> None:
    with pytest.raises(InputError, match='calibrate the camera again'):
        valid_radius(Distortion('equidistant', (-1e9, 0.0, 0.0, 0.0)))
