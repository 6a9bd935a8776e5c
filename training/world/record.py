"""Driving through a street with sensors running."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from sam2amml_core.frame import Camera, CameraView, Frame
from training.world.camera import CameraLook, render
from training.world.lidar import LidarUnit, Scan, sweep
from training.world.scene import Scene
from training.world.sensors import SensorRig
from training.world.settings import StreetSettings
from training.world.street import Street, build_street
from training.world.sweep import SyntheticSweep

START_NS = 1_700_000_000_000_000_000
"""Stamp of the first sweep of every recording."""


def record(seed: int, settings: StreetSettings, rig: SensorRig, sweeps: int, every: int = 1,
           indices: Iterable[int] | None = None, images_every: int = 1, street: Street | None = None
           ) -> Iterator[SyntheticSweep]:
    """Drive through the street of ``seed`` and yield ``sweeps`` sweeps, one of each ``every`` turns of the LiDAR.

    With ``indices`` only those of 0 .. sweeps - 1: the same sweeps as in the whole drive, so processes can share one.
    Images are taken in the middle of a sweep, when the LiDAR looks forwards; with ``images_every`` only in one of so
    many sweeps, the first included. The same arguments give the same bytes. ``street`` saves building it again.
    """
    period = rig.lidar.period
    street = street_of(seed, settings, rig, sweeps, every) if street is None else street
    rng = np.random.default_rng([seed, 1])
    unit = LidarUnit.draw(
        rng, rig.lidar, float(rng.uniform(*settings.sensor_gain)), float(rng.uniform(*settings.range_noise))
    )
    look = CameraLook.draw(np.random.default_rng([seed, 3]), exposure=float(rng.uniform(0.85, 1.2)))
    for index in range(sweeps) if indices is None else indices:
        t = index * every * period
        sensors = rig if index % images_every == 0 else rig.without_cameras()
        yield _one(np.random.default_rng([seed, 2, index]), street, unit, sensors, t, look)


def street_of(seed: int, settings: StreetSettings, rig: SensorRig, sweeps: int, every: int = 1) -> Street:
    """The street that ``record`` drives through when it is given the same arguments."""
    return build_street(seed, settings, rig.lidar.period * every * max(sweeps, 1))


def lidar_pose(street: Street, unit: LidarUnit, t: float) -> np.ndarray:
    """4x4 pose of the LiDAR on its mount at ``t`` seconds, world frame."""
    T = street.ego.pose(t)
    T[:3, 3] += T[:3, 2] * unit.spec.height
    T[:3, :3] = T[:3, :3] @ unit.mount
    return T


def _one(
    rng: np.random.Generator, street: Street, unit: LidarUnit, rig: SensorRig, t: float, look: CameraLook
) -> SyntheticSweep:
    spec = unit.spec
    stamp = START_NS + round(t * 1e9)
    T_start, T_end = (lidar_pose(street, unit, x) for x in (t, t + spec.period))
    scan = sweep(rng, street.scene, unit, T_start, T_end, t, stamp)
    classes = np.array([m.class_id for m in street.scene.materials], np.uint8)
    shutter = t + spec.period / 2
    T_world_lidar = lidar_pose(street, unit, shutter)
    views, truths, seen = [], [], []
    for camera in rig.cameras:
        T_world_camera = T_world_lidar @ np.linalg.inv(camera.T_camera_lidar)
        image, truth = render(street.scene, camera, T_world_camera, shutter, rng, look)
        views.append(CameraView(camera, image, START_NS + round(shutter * 1e9)))
        truths.append(truth)
        seen.append(_visible(street.scene, scan, camera, T_world_camera, t, shutter))
    return SyntheticSweep(
        frame=Frame(scan.cloud, tuple(views)),
        point_class=classes[scan.material],
        point_instance=scan.instance,
        point_visible=tuple(seen),
        pixels=tuple(truths),
        T_world_lidar=T_start,
        T_world_lidar_end=T_end,
    )


def _visible(
    scene: Scene, scan: Scan, camera: Camera, T_world_camera: np.ndarray, t: float, shutter: float
) -> np.ndarray:
    """bool [N]: a ray from the camera to where each surface point is at the shutter time arrives unhindered."""
    points = scan.world.astype(np.float64)
    time = scan.cloud.time if scan.cloud.time is not None else np.zeros(len(points), np.float32)
    for actor in scene.actors:
        rows = np.flatnonzero(scan.instance == actor.instance)
        if len(rows):
            _, velocity = actor.motion(shutter)
            points[rows] += (shutter - t - time[rows])[:, None] * velocity
    local = (points - T_world_camera[:3, 3]) @ T_world_camera[:3, :3]
    depth = local[:, 2]
    homogeneous = np.concatenate([local, np.ones((len(local), 1))], 1) @ camera.projection.T
    with np.errstate(divide='ignore', invalid='ignore'):
        u, v = homogeneous[:, 0] / homogeneous[:, 2], homogeneous[:, 1] / homogeneous[:, 2]
    inside = np.flatnonzero((depth > 0.1) & (u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height))
    away = (points[inside] - T_world_camera[:3, 3]).astype(np.float32)
    distance = np.linalg.norm(away, axis=1)
    origin = np.broadcast_to(T_world_camera[:3, 3].astype(np.float32), away.shape)
    hits = scene.cast(np.ascontiguousarray(origin), away / distance[:, None], shutter)
    result = np.zeros(len(points), bool)
    result[inside] = hits.distance > distance * 0.999 - 0.05
    return result
