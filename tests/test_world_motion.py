"""Ego-motion compensation against the synthetic world, where the pixel each surface is seen at is known exactly."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('embreex', reason='the synthetic world needs embreex (extra [world])')

from sam2amml_core.frame import CameraView, Frame
from sam2amml_core.geometry import twist as se3
from sam2amml_core.geometry.compensation import SweepTiming, compensate
from sam2amml_core.geometry.motion import PoseBuffer
from sam2amml_core.geometry.projection import project
from sam2amml_core.geometry.transforms import compose, invert
from training.world.camera import CameraLook, render
from training.world.lidar import LidarUnit, sweep
from training.world.record import START_NS, lidar_pose
from training.world.sensors import hdl64, kitti_rig
from training.world.settings import StreetSettings
from training.world.street import build_street

logger = logging.getLogger(__name__)
LATE_S = 0.04
"""Shutter after the middle of the sweep."""


def test_compensated_points_lie_where_the_shutter_saw_them_and_others_do_not() -> None:
    rig = kitti_rig()
    spec = hdl64(columns=512)
    street = build_street(4, StreetSettings(), 4.0)
    rng = np.random.default_rng(0)
    unit = LidarUnit.draw(rng, spec, 1.0, 0.0)
    errors: dict[str, list[np.ndarray]] = {'static': [], 'stamps': [], 'deskewed': []}
    speeds, agreed = [], {}
    for t in (0.5, 1.5, 2.5):
        T_start, T_end = lidar_pose(street, unit, t), lidar_pose(street, unit, t + spec.period)
        stamp = START_NS + round(t * 1e9)
        scan = sweep(rng, street.scene, unit, T_start, T_end, t, stamp)
        poses = PoseBuffer()
        twist = se3.log(compose(invert(T_start), T_end)) / spec.period
        poses.add(stamp, T_start, twist)  # what odometry says once a sweep
        speeds.append(np.linalg.norm(twist[:3]))
        shutter = t + 0.5 * spec.period + LATE_S
        camera = rig.cameras[0]
        T_world_camera = compose(lidar_pose(street, unit, shutter), invert(camera.T_camera_lidar))
        still = scan.instance == 0
        world = scan.world.astype(np.float64)
        optical = (world - T_world_camera[:3, 3]) @ T_world_camera[:3, :3]
        pixel = np.full((len(world), 2), np.nan)
        front = optical[:, 2] > 1
        homogeneous = np.concatenate((optical[front], np.ones((front.sum(), 1))), 1) @ camera.projection.T
        pixel[front] = homogeneous[:, :2] / homogeneous[:, 2:]
        view = CameraView(camera, np.zeros((camera.height, camera.width, 3), np.uint8), START_NS + round(shutter * 1e9))
        frame = Frame(scan.cloud, (view,))
        truth = render(street.scene, camera, T_world_camera, shutter, rng, CameraLook())[1] if t == 1.5 else None
        for name, known, times in (('static', None, False), ('stamps', poses, False), ('deskewed', poses, True)):
            result = compensate(frame.cloud, frame.views, known, SweepTiming('start', spec.period), times)
            points = project(result.xyz, [replace(c, width=camera.width) for c in result.cameras])[0]
            of_world = points.index[still[points.index]]
            error = np.linalg.norm(points.uv[still[points.index]] - pixel[of_world], axis=1)
            errors[name].append(error[np.isfinite(error)])
            if truth is not None:
                u, v = points.pixel[still[points.index]].T
                depth, seen = points.depth[still[points.index]], truth.depth[v, u]
                agreed[name] = float(np.mean(np.abs(depth - seen) < 0.1 + 0.01 * depth))
    median = {name: float(np.median(np.concatenate(found))) for name, found in errors.items()}
    worst = {name: float(np.quantile(np.concatenate(found), 0.95)) for name, found in errors.items()}
    logger.info('ego %.1f m/s, shutter %.0f ms late: median px %s, 95 %% %s, same surface %s', np.mean(speeds),
                1e3 * LATE_S, median, worst, agreed)
    assert np.mean(speeds) > 4
    assert sum(map(len, errors['deskewed'])) > 3000
    assert median['deskewed'] < 0.5
    assert median['deskewed'] < 0.1 * median['static']
    assert worst['deskewed'] < 0.2 * worst['static']
    assert median['deskewed'] < median['stamps'] < median['static']
    assert 1 - agreed['deskewed'] < 0.6 * (1 - agreed['static']), 'points whose pixel shows another surface'
