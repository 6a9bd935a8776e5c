"""The plainest sweep a LiDAR can see: flat ground inside a round wall. For rehearsals, when no sensor speaks yet."""

from __future__ import annotations

import numpy as np

from sam2amml_core.bundle import SensorGeometry
from sam2amml_core.frame import PointCloud

COLUMNS = 2048
WALL_M = 30.0


def flat_sweep(sensor: SensorGeometry) -> PointCloud:
    """Every beam at 2048 azimuths, N = beams * 2048, with ring, intensity 0.3 and time over 0.1 s; sensor frame."""
    elevation = np.radians(np.linspace(sensor.fov_down_deg, sensor.fov_up_deg, sensor.beams))
    distance = np.full(sensor.beams, min(WALL_M, sensor.max_range_m / 2))
    down = elevation < 0
    distance[down] = np.minimum(distance[down], sensor.sensor_height_m / np.tan(-elevation[down]))
    azimuth = np.linspace(0, 2 * np.pi, COLUMNS, endpoint=False)
    xyz = np.empty((COLUMNS, sensor.beams, 3), np.float32)
    xyz[..., 0] = np.cos(azimuth)[:, None] * distance
    xyz[..., 1] = np.sin(azimuth)[:, None] * distance
    xyz[..., 2] = distance * np.tan(elevation)
    count = COLUMNS * sensor.beams
    return PointCloud(
        xyz.reshape(-1, 3), np.full(count, 0.3, np.float32),
        time=np.repeat(np.linspace(0, 0.1, COLUMNS, dtype=np.float32), sensor.beams),
        ring=np.tile(np.arange(sensor.beams, dtype=np.uint16), COLUMNS))
