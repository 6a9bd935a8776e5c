"""A sweep and images taken at other times, brought together: where was each point when the shutter opened?

    T_camera(t_image)_lidar(t_point) = T_camera_lidar  T_lidar(t_image)_lidar(t_sweep)  T_lidar(t_sweep)_lidar(t_point)

The last factor is the deskew of the sweep to its reference time, the middle one the ego motion between the two stamps.
Things that move by themselves are not compensated. Without odometry the extrinsics alone are used, and it is said so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.frame import Camera, CameraView, PointCloud
from sam2amml_core.geometry.deskew import deskew

LIDAR_STAMPS = ('start', 'center', 'end')
STATIC, EGO_MOTION = 'static', 'ego_motion'


class Motion(Protocol):
    """``PoseBuffer`` or ``MountedPoses``: how the LiDAR moved."""

    def relative(self, to_ns: int, from_ns: int) -> np.ndarray | None: ...

    def twist(self, start_ns: int, end_ns: int) -> np.ndarray | None: ...


@dataclass(frozen=True)
class SweepTiming:
    """When a LiDAR measures, judged from its stamps.

    lidar_stamp  what the header's stamp is the time of: 'start', 'center' or 'end' of the sweep
    period_s     one turn; used when the points carry no time
    """

    lidar_stamp: str = 'start'
    period_s: float = 0.1

    def __post_init__(self) -> None:
        if self.lidar_stamp not in LIDAR_STAMPS:
            raise InputError(f'lidar_stamp is {self.lidar_stamp!r}; choose one of {", ".join(LIDAR_STAMPS)}')
        if not 0 <= self.period_s <= 10:
            raise InputError(f'period_s is {self.period_s:g}; give the duration of a turn, 0 to 10 s')

    def center_ns(self, stamp_ns: int, duration_s: float | None = None) -> int:
        """The middle of the sweep with a stamp."""
        half = round(0.5e9 * (self.period_s if duration_s is None else duration_s))
        return stamp_ns + {'start': half, 'center': 0, 'end': -half}[self.lidar_stamp]


@dataclass(frozen=True, eq=False)
class Compensated:
    """Points and cameras that can be projected as if nothing moved.

    xyz          float32 [N, 3], in the LiDAR's frame at ``reference_ns``
    cameras      with ``T_camera_lidar`` from that frame to the camera's at its shutter time
    methods      for each camera ``ego_motion`` or ``static`` (poses not known)
    deskewed     the points' own times were used
    """

    xyz: np.ndarray
    cameras: tuple[Camera, ...]
    reference_ns: int
    methods: tuple[str, ...]
    deskewed: bool


def compensate(cloud: PointCloud, views: Sequence[CameraView], poses: Motion | None,
               timing: SweepTiming | None = None, use_point_times: bool = True) -> Compensated:
    """Deskew a sweep to its middle and move each camera to where it was at its shutter time.

    poses            of the LiDAR in a fixed frame; None or without the times needed: extrinsics as they are
    use_point_times  False: the sweep is taken as measured at once, in its middle
    """
    timing = timing or SweepTiming()
    times = sweep_times(cloud, timing)
    seconds, middle_ns = times.seconds, times.middle_ns
    xyz, deskewed = cloud.xyz, False
    if poses is not None and seconds is not None and use_point_times:
        twist = poses.twist(times.start_ns, times.end_ns)
        if twist is not None:
            xyz, deskewed = deskew(cloud.xyz, seconds, twist), True
    cameras, methods = [], []
    for view in views:
        moved = None if poses is None else poses.relative(view.stamp_ns, middle_ns)
        cameras.append(view.camera if moved is None else
                       replace(view.camera, T_camera_lidar=view.camera.T_camera_lidar @ moved))
        methods.append(STATIC if moved is None else EGO_MOTION)
    return Compensated(xyz, tuple(cameras), middle_ns, tuple(methods), deskewed)


@dataclass(frozen=True, eq=False)
class SweepTimes:
    """When a sweep was measured; ``seconds`` float32 [N] of each point from the middle, or None."""

    seconds: np.ndarray | None
    start_ns: int
    end_ns: int
    middle_ns: int


def sweep_times(cloud: PointCloud, timing: SweepTiming) -> SweepTimes:
    """From the points' own times, else from the stamp and the period."""
    if cloud.time is not None and len(cloud) and np.isfinite(cloud.time).any():
        first = float(np.fmin.reduce(cloud.time))
        last = float(np.fmax.reduce(cloud.time))
        if 0 < last - first <= 10:
            from_start = first >= -1e-4  # the driver counts from the start, whatever its stamp means
            length = last if from_start else last - first
            origin = {'start': 0.0, 'center': -0.5 * length, 'end': -length}[timing.lidar_stamp] if from_start else 0.0
            middle = origin + 0.5 * (first + last)
            at = [cloud.stamp_ns + round(1e9 * t) for t in (origin + first, origin + last, middle)]
            return SweepTimes(cloud.time - np.float32(middle - origin), at[0], at[1], at[2])
    middle_ns = timing.center_ns(cloud.stamp_ns)
    half = round(0.5e9 * timing.period_s)
    return SweepTimes(None, middle_ns - half, middle_ns + half, middle_ns)
