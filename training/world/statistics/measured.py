"""A sweep as the statistics see it, synthetic or real."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sam2amml_core.frame import PointCloud
from training.world.sensors import LidarSpec


@dataclass(frozen=True, eq=False)
class MeasuredSweep:
    """Returned points of one sweep.

    xyz        float32 [N, 3], metres, x forwards, finite, farther than a metre
    intensity  float32 [N], 0..1
    beam       int64 [N], 0 = the highest
    label      uint8 [N], ids of ``names``, 0 = none; or None without truth
    """

    xyz: np.ndarray
    intensity: np.ndarray
    beam: np.ndarray
    label: np.ndarray | None = None
    names: tuple[str, ...] = ()

    @property
    def distance(self) -> np.ndarray:
        """float32 [N], metres."""
        return np.linalg.norm(self.xyz, axis=1)


def measured(cloud: PointCloud, spec: LidarSpec, label: np.ndarray | None = None, names: tuple[str, ...] = ()
             ) -> MeasuredSweep:
    """The sweep of a LiDAR like ``spec``, its beams taken from the rings, the order of points, or their elevation."""
    kept = np.isfinite(cloud.xyz).all(1) & (np.linalg.norm(cloud.xyz, axis=1) > 1)
    beam = beams_of(cloud, spec)
    known = None if label is None else label[kept]
    return MeasuredSweep(cloud.xyz[kept], cloud.intensity[kept], beam[kept], known, names)


def beams_of(cloud: PointCloud, spec: LidarSpec) -> np.ndarray:
    """Beam of every point, int64 [N], 0 = the highest.

    Files of an HDL-64E hold no rings, but its beams one after the other from the top: one ends where the azimuth jumps.
    """
    count = len(spec.elevation)
    if cloud.ring is not None:
        return count - 1 - cloud.ring.astype(np.int64)
    azimuth = np.arctan2(cloud.xyz[:, 1], cloud.xyz[:, 0]) % (2 * np.pi)
    ends = np.flatnonzero(np.abs(np.diff(azimuth)) > np.pi)
    if not spec.column_major and len(ends) == count - 1:
        return np.searchsorted(ends, np.arange(len(cloud)), side='left')
    elevation = np.arctan2(cloud.xyz[:, 2], np.hypot(cloud.xyz[:, 0], cloud.xyz[:, 1]))
    middles = -(spec.elevation[:-1] + spec.elevation[1:]) / 2
    return np.searchsorted(middles, -elevation)
