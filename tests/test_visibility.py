"""What a camera cannot see of what the LiDAR sees."""

from __future__ import annotations

import numpy as np
import pytest

from sam2amml_core.frame import Camera
from sam2amml_core.geometry.projection import project
from sam2amml_core.geometry.transforms import OPTICAL_FROM_BODY, transform
from sam2amml_core.geometry.visibility import estimate_spacing, visible, visible_points

K = np.array([[720.0, 0, 620, 0], [0, 720, 190, 0], [0, 0, 1, 0]])


def camera(right: float = 0.0, down: float = 0.0) -> Camera:
    """A forward camera, moved from the LiDAR to the right and down, metres."""
    return Camera('c', 1240, 380, K, OPTICAL_FROM_BODY @ transform(np.eye(3), np.array([0, right, down])))


def rays(vertical_deg: float, horizontal_deg: float) -> np.ndarray:
    """Unit rays of a spinning LiDAR, forward half, float64 [N, 3]."""
    elevation = np.radians(np.arange(-12, 8, vertical_deg))
    azimuth = np.radians(np.arange(-45, 45, horizontal_deg))
    e, a = (grid.ravel() for grid in np.meshgrid(elevation, azimuth, indexing='ij'))
    return np.stack((np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)), axis=1)


def wall_scene(directions: np.ndarray, near: float = 8.0, far: float = 30.0) -> tuple[np.ndarray, np.ndarray]:
    """A wall at ``far`` behind a panel at ``near`` that reaches from y = -1 to 1 and up to z = 0.3; (xyz, is near)."""
    on_near = directions * (near / directions[:, :1])
    hits = (np.abs(on_near[:, 1]) < 1) & (on_near[:, 2] < 0.3)
    return np.where(hits[:, None], on_near, directions * (far / directions[:, :1])).astype(np.float32), hits


def truly_hidden(xyz: np.ndarray, near_hit: np.ndarray, sight: Camera, near: float = 8.0) -> np.ndarray:
    """Exact: the line from the camera to the point passes through the panel."""
    centre = -sight.T_camera_lidar[:3, :3].T @ sight.T_camera_lidar[:3, 3]
    crossing = centre + (near - centre[0]) / (xyz[:, :1] - centre[0]) * (xyz - centre)
    return ~near_hit & (np.abs(crossing[:, 1]) < 1) & (crossing[:, 2] < 0.3)


@pytest.mark.parametrize(('vertical', 'horizontal'), [(0.4, 0.2), (1.33, 0.33)])
@pytest.mark.parametrize(('right', 'down'), [(0.8, 0.0), (0.0, 0.6), (-1.0, 0.4)])
def test_background_behind_a_sparsely_sampled_panel_is_hidden(vertical: float, horizontal: float, right: float,
                                                              down: float) -> None:
    xyz, near_hit = wall_scene(rays(vertical, horizontal))
    sight = camera(right, down)
    points = project(xyz, [sight])[0]
    hidden = ~visible_points(points, sight)
    truth = truly_hidden(xyz, near_hit, sight)[points.index]
    assert truth.sum() > 20
    assert (hidden & truth).sum() / truth.sum() > 0.85
    assert (hidden & truth).sum() / hidden.sum() > 0.6  # the edge lies somewhere between two beams: one row is at stake


@pytest.mark.parametrize(('vertical', 'horizontal'), [(0.4, 0.2), (1.33, 0.33)])
def test_one_pixel_z_buffer_would_miss_them(vertical: float, horizontal: float) -> None:
    """The reason for patches: of the hidden points few share a pixel with what hides them."""
    xyz, near_hit = wall_scene(rays(vertical, horizontal))
    sight = camera(0.8)
    points = project(xyz, [sight])[0]
    flat = points.pixel[:, 1] * sight.width + points.pixel[:, 0]
    nearest = np.full(sight.width * sight.height, np.inf)
    np.minimum.at(nearest, flat, points.depth)
    truth = truly_hidden(xyz, near_hit, sight)[points.index]
    assert (points.depth > nearest[flat] + 1)[truth].mean() < 0.2


@pytest.mark.parametrize(('vertical', 'horizontal'), [(0.4, 0.2), (1.33, 0.33)])
def test_nothing_is_hidden_from_the_lidar_itself(vertical: float, horizontal: float) -> None:
    xyz, _ = wall_scene(rays(vertical, horizontal))
    assert visible(project(xyz, [camera()]), [camera()]).sum() == len(project(xyz, [camera()])[0])


@pytest.mark.parametrize(('vertical', 'horizontal'), [(0.4, 0.2), (1.33, 0.33)])
def test_a_road_does_not_hide_itself(vertical: float, horizontal: float) -> None:
    directions = rays(vertical, horizontal)
    directions = directions[directions[:, 2] < -0.02]
    xyz = (directions * (-1.8 / directions[:, 2:])).astype(np.float32)
    sight = camera(0.3, 0.3)
    points = project(xyz, [sight])[0]
    assert visible_points(points, sight).mean() > 0.995


def test_beam_spacing_is_estimated() -> None:
    xyz, _ = wall_scene(rays(1.33, 0.33))
    spacing = estimate_spacing(project(xyz, [camera()])[0], camera())
    assert np.degrees(spacing.vertical) == pytest.approx(1.33, rel=0.05)
    assert np.degrees(spacing.horizontal) == pytest.approx(0.33, rel=0.3)


def test_points_outside_are_not_visible() -> None:
    behind = -np.abs(np.random.default_rng(0).normal(10, 1, (50, 3))).astype(np.float32)
    seen = visible(project(behind, [camera()]), [camera()])
    assert seen.shape == (1, 50) and not seen.any()


def test_visibility_on_simulated_streets_agrees_with_ray_casting() -> None:
    pytest.importorskip('embreex', reason='the synthetic world needs embreex (extra [dev])')
    from training.world.classes import WORLD_ID
    from training.world.record import record
    from training.world.sensors import kitti_rig
    from training.world.settings import TRAIN

    counts = np.zeros((2, 2), int)  # [truth visible, said visible]
    for seed in (2, 3):
        sweep = next(iter(record(seed, TRAIN, kitti_rig(columns=1024), 1)))
        view, pixels = sweep.frame.views[0], sweep.pixels[0]
        points = project(sweep.frame.cloud.xyz, [view.camera])[0]
        truth = sweep.point_visible[0][points.index]
        column, row = points.pixel.T
        # leaves hide at random what lies behind them, and less than half a metre is within the tolerance
        solid = (pixels.class_id[row, column] != WORLD_ID['vegetation']) & (
            sweep.point_class[points.index] != WORLD_ID['vegetation'])
        behind = points.depth - pixels.depth[row, column] > 0.5 + 0.05 * points.depth
        said = visible_points(points, view.camera)
        for kept in (truth & solid, ~truth & solid & behind):
            np.add.at(counts, (truth[kept].astype(int), said[kept].astype(int)), 1)
    (hidden_found, hidden_missed), (false_alarm, right) = counts
    assert right / (right + false_alarm) > 0.99
    assert right / (right + hidden_missed) > 0.98
    assert hidden_found / (hidden_found + hidden_missed) > 0.2
    assert hidden_found / (hidden_found + false_alarm) > 0.25  # of all points about one in a hundred is hidden
