"""Ego motion: poses between odometry messages, deskewed sweeps, and points where the shutter saw them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from sam2amml_core.errors import InputError
from sam2amml_core.frame import Camera, CameraView, PointCloud
from sam2amml_core.geometry import twist as se3
from sam2amml_core.geometry.compensation import EGO_MOTION, STATIC, SweepTiming, compensate
from sam2amml_core.geometry.deskew import deskew
from sam2amml_core.geometry.motion import MountedPoses, PoseBuffer
from sam2amml_core.geometry.projection import project
from sam2amml_core.geometry.transforms import OPTICAL_FROM_BODY, apply, compose, invert

MS = 1_000_000
EPOCH = 1_700_000_000_000 * MS
TWIST = np.array([14.0, 0.3, -0.1, 0.02, -0.03, 0.6])


def path(ms: float, twist: np.ndarray = TWIST) -> np.ndarray:
    start = se3.exp(np.array([120.0, -40, 3, 0.1, 0.2, 2.0]))
    return compose(start, se3.exp(twist * ms * 1e-3))


@pytest.mark.parametrize('scale', [0.0, 1e-9, 1e-4, 0.5, 4.0])
def test_exp_and_log_are_inverse_and_motion_adds_up(scale: float) -> None:
    twist = scale * TWIST
    np.testing.assert_allclose(se3.log(se3.exp(twist)), twist, atol=1e-9 + 1e-9 * scale)
    np.testing.assert_allclose(compose(se3.exp(0.3 * twist), se3.exp(0.7 * twist)), se3.exp(twist), atol=1e-9)
    A = np.zeros((4, 4))
    A[:3, :3], A[:3, 3] = se3.hat(twist[3:]), twist[:3]
    series = np.eye(4) + sum(np.linalg.matrix_power(A, n) / math.factorial(n) for n in range(1, 40))
    np.testing.assert_allclose(se3.exp(twist), series, atol=1e-8)


def test_a_velocity_is_carried_to_another_frame_of_the_same_body() -> None:
    T_lidar_base = se3.exp(np.array([1.0, 0.2, 1.7, 0, 0.05, 0.4]))
    moved = compose(T_lidar_base, se3.exp(0.5 * TWIST), invert(T_lidar_base))
    np.testing.assert_allclose(se3.exp(0.5 * se3.carried(TWIST, T_lidar_base)), moved, atol=1e-9)


def test_poses_between_and_after_odometry_lie_on_the_path() -> None:
    buffer = PoseBuffer()
    for ms in (200, 0, 100, 300):  # in any order
        buffer.add(EPOCH + ms * MS, path(ms), TWIST)
    for ms in (0, 37, 100, 250, 300, 420, 600):
        found = buffer.at(EPOCH + ms * MS)
        assert found is not None
        np.testing.assert_allclose(found, path(ms), atol=1e-6)
    assert buffer.at(EPOCH - 1) is None
    assert buffer.at(EPOCH + 700 * MS) is None, 'too far ahead'
    moved = buffer.relative(EPOCH + 350 * MS, EPOCH + 120 * MS)
    assert moved is not None
    np.testing.assert_allclose(moved, compose(invert(path(350)), path(120)), atol=1e-6)
    twist = buffer.twist(EPOCH + 50 * MS, EPOCH + 150 * MS)
    assert twist is not None
    np.testing.assert_allclose(twist, TWIST, atol=1e-6)


def test_without_velocity_the_last_two_poses_are_continued() -> None:
    buffer = PoseBuffer()
    buffer.add(EPOCH, path(0))
    assert buffer.at(EPOCH + 10 * MS) is None, 'one pose says nothing about motion'
    buffer.add(EPOCH + 100 * MS, path(100))
    found = buffer.at(EPOCH + 180 * MS)
    assert found is not None
    np.testing.assert_allclose(found, path(180), atol=1e-6)


def test_gaps_jumps_and_repeats_of_odometry_do_not_bend_the_path() -> None:
    buffer = PoseBuffer(capacity=5)
    buffer.add(EPOCH, path(0))
    buffer.add(EPOCH + 5000 * MS, path(5000), TWIST)
    assert buffer.at(EPOCH + 2500 * MS) is None
    buffer.add(EPOCH + 1000 * MS, path(1000), TWIST)  # time jumped back: what was known is of the time before
    assert len(buffer) == 1
    for ms in range(1000, 3000, 100):
        buffer.add(EPOCH + ms * MS, path(ms), TWIST)
        buffer.add(EPOCH + ms * MS, path(ms), TWIST)
    assert len(buffer) == 5


@pytest.mark.parametrize('scale', [0.0, 1.0, 8.0])
def test_deskew_agrees_with_a_transform_for_each_point(scale: float) -> None:
    random = np.random.default_rng(0)
    xyz = random.uniform(-80, 80, (500, 3)).astype(np.float32)
    seconds = random.uniform(-0.06, 0.06, 500).astype(np.float32)
    moved = deskew(xyz, seconds, scale * TWIST)
    exact = np.array([apply(se3.exp(scale * TWIST * float(t)), p[None].astype(np.float64))[0]
                      for p, t in zip(xyz, seconds, strict=True)])
    assert np.abs(moved - exact).max() < 1e-3
    xyz[3] = np.nan
    assert np.isnan(deskew(xyz, seconds, TWIST)[3]).all()
    with pytest.raises(InputError, match='one for each point'):
        deskew(xyz, seconds[:5], TWIST)


def test_a_sensor_moves_with_the_body_it_is_mounted_on() -> None:
    T_body_sensor = se3.exp(np.array([1.0, 0.2, 1.7, 0, 0.05, 0.4]))
    body, sensor = PoseBuffer(), PoseBuffer()
    for ms in (0, 100):
        body.add(EPOCH + ms * MS, path(ms))
        sensor.add(EPOCH + ms * MS, compose(path(ms), T_body_sensor))
    mounted = MountedPoses(body, T_body_sensor)
    for question in ('relative', 'twist'):
        np.testing.assert_allclose(getattr(mounted, question)(EPOCH + 10 * MS, EPOCH + 90 * MS),
                                   getattr(sensor, question)(EPOCH + 10 * MS, EPOCH + 90 * MS), atol=1e-9)
        assert getattr(mounted, question)(EPOCH - MS, EPOCH) is None


def scan(stamp: str, with_time: bool = True) -> tuple[PointCloud, np.ndarray]:
    """Points fixed in the world, measured from 0 to 100 ms; the stamp says 0, 50 or 100 ms."""
    random = np.random.default_rng(1)
    seconds = np.linspace(0, 0.1, 800).astype(np.float32)
    here = random.uniform(-40, 40, (800, 3))
    world = apply(path(50), here)
    xyz = np.array([apply(invert(path(1e3 * t)), p[None])[0] for p, t in zip(world, seconds.tolist(), strict=True)])
    at = {'start': 0, 'center': 50, 'end': 100}[stamp]
    cloud = PointCloud(xyz.astype(np.float32), np.zeros(800, np.float32), seconds if with_time else None,
                       stamp_ns=EPOCH + at * MS)
    return cloud, world


@pytest.mark.parametrize('stamp', ['start', 'center', 'end'])
@pytest.mark.parametrize('shutter', [-20, 50, 130])
@pytest.mark.parametrize('counted_from_stamp', [False, True])
def test_points_are_projected_to_where_the_camera_saw_them(stamp: str, shutter: int, counted_from_stamp: bool) -> None:
    cloud, world = scan(stamp)
    if counted_from_stamp and cloud.time is not None:  # negative times: counted from the stamp, not from the start
        cloud = replace(cloud, time=cloud.time - np.float32({'start': 0, 'center': 0.05, 'end': 0.1}[stamp]))
    camera = Camera('c', 1200, 800, np.array([[700.0, 0, 600, 0], [0, 700, 400, 0], [0, 0, 1, 0]]), OPTICAL_FROM_BODY)
    poses = PoseBuffer()
    for ms in (-100, 0, 100):
        poses.add(EPOCH + ms * MS, path(ms), TWIST)
    view = CameraView(camera, np.zeros((800, 1200, 3), np.uint8), EPOCH + shutter * MS)
    result = compensate(cloud, [view], poses, SweepTiming(stamp))
    assert result.methods == (EGO_MOTION,)
    assert result.deskewed
    assert abs(result.reference_ns - EPOCH - 50 * MS) < 100
    points = project(result.xyz, result.cameras)[0]
    true = apply(compose(OPTICAL_FROM_BODY, invert(path(shutter))), world)[points.index]
    pixel = true[:, :2] / true[:, 2:] * 700 + (600, 400)
    assert len(points) > 30
    assert np.abs(points.uv - pixel).max() < 0.2


def test_without_odometry_or_times_the_extrinsics_alone_are_used_and_it_is_said() -> None:
    cloud, _ = scan('start')
    camera = Camera('c', 1200, 800, np.array([[700.0, 0, 600, 0], [0, 700, 400, 0], [0, 0, 1, 0]]), OPTICAL_FROM_BODY)
    view = CameraView(camera, np.zeros((800, 1200, 3), np.uint8), EPOCH + 90 * MS)
    for poses in (None, PoseBuffer()):
        result = compensate(cloud, [view], poses)
        assert (result.methods, result.deskewed) == ((STATIC,), False)
        assert result.xyz is cloud.xyz
        assert result.cameras[0] is camera
    poses = PoseBuffer()
    for ms in (0, 100):
        poses.add(EPOCH + ms * MS, path(ms), TWIST)
    untimed = compensate(scan('start', with_time=False)[0], [view], poses)
    assert (untimed.methods, untimed.deskewed) == ((EGO_MOTION,), False)
    assert untimed.reference_ns == EPOCH + 50 * MS
    with pytest.raises(InputError, match="lidar_stamp is 'middle'; choose one of start, center, end"):
        SweepTiming('middle')
