"""Sensors of the synthetic vehicles: beam tables of real LiDARs, cameras and where they are mounted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sam2amml_core.frame import Camera


@dataclass(frozen=True, eq=False)
class LidarSpec:
    """A spinning LiDAR.

    elevation   float32 [B], radians, one per beam, highest first
    columns     firings per turn
    period      seconds per turn; it turns clockwise seen from above, begins and ends looking backwards
    height      above the ground, metres
    gain        of the reported intensity against the HDL-64E's: every model has a scale of its own
    blind       parts of the view that its own vehicle hides, each (azimuth from, to; elevation from, to, degrees;
                share of units mounted so)
    """

    name: str
    elevation: np.ndarray
    columns: int
    period: float
    height: float
    min_range: float = 1.5
    max_range: float = 80.0
    gain: float = 1.0
    blind: tuple[tuple[float, float, float, float, float], ...] = ()
    column_major: bool = False  # order of points: firing by firing, else beam by beam from the top


@dataclass(frozen=True, eq=False)
class SensorRig:
    """A LiDAR and the cameras calibrated to it."""

    lidar: LidarSpec
    cameras: tuple[Camera, ...] = ()

    def without_cameras(self) -> SensorRig:
        """The LiDAR alone."""
        return SensorRig(self.lidar)


# Roof and racks of KITTI's car, read off which directions never return anything in its sweeps.
_KITTI_CAR = (
    (-17.0, 17.0, -26.0, -20.6, 0.95), (154.0, 206.0, -26.0, -17.8, 0.95), (160.0, 165.0, -18.5, -12.5, 0.8),
    (-165.0, -160.0, -18.5, -12.5, 0.8), (-74.0, -60.0, -22.5, -14.5, 0.5), (-133.0, -127.0, -26.0, -20.0, 0.6),
    (-40.0, -30.0, -26.0, -22.2, 0.6), (131.0, 138.0, -26.0, -19.5, 0.6),
)


def hdl64(columns: int = 2048) -> LidarSpec:
    """The 64 beams of KITTI's Velodyne HDL-64E: an upper block 1/3 degree apart, a lower block 1/2 degree apart."""
    upper = 2.5 - np.arange(32) * (10.9 / 31.0)
    lower = -8.87 - np.arange(32) * (14.9 / 31.0)
    elevation = np.radians(np.concatenate([upper, lower])).astype(np.float32)
    return LidarSpec('hdl64', elevation, columns, 0.1, 1.73, blind=_KITTI_CAR)


def hdl32(columns: int = 1084) -> LidarSpec:
    """The 32 beams of nuScenes' Velodyne HDL-32E: +10.67 to -30.67 degrees, 4/3 degree apart."""
    elevation = np.radians(10.67 - np.arange(32) * 4.0 / 3.0).astype(np.float32)
    return LidarSpec('hdl32', elevation, columns, 0.05, 1.84, min_range=1.0, max_range=75.0, gain=0.25,
                     blind=((-25.0, 25.0, -33.0, -25.0, 0.9), (150.0, 210.0, -33.0, -23.0, 0.9)), column_major=True)


_OPTICAL = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], float)


def _camera(
    name: str, width: int, height: int, focal: float, position: tuple[float, float, float], yaw: float
) -> Camera:
    """A pinhole camera at ``position`` in the LiDAR frame, looking along ``yaw`` radians from its x axis."""
    c, s = np.cos(yaw), np.sin(yaw)
    T_lidar_body = np.array([[c, -s, 0, position[0]], [s, c, 0, position[1]], [0, 0, 1, position[2]], [0, 0, 0, 1]])
    K = np.array([[focal, 0, width / 2 - 0.5, 0], [0, focal, height * 0.47, 0], [0, 0, 1, 0]], float)
    return Camera(name, width, height, K, _OPTICAL @ np.linalg.inv(T_lidar_body))


def kitti_rig(cameras: int = 1, columns: int = 2048) -> SensorRig:
    """KITTI's car: HDL-64E and up to two forward cameras, 1242 x 375, 0.27 m ahead of and 0.08 m below the LiDAR."""
    left = _camera('image_2', 1242, 375, 721.5, (0.27, 0.06, -0.08), 0.0)
    right = _camera('image_3', 1242, 375, 721.5, (0.27, -0.48, -0.08), 0.0)
    return SensorRig(hdl64(columns), (left, right)[:cameras])


def nuscenes_rig(cameras: int = 6, size: tuple[int, int] = (1600, 900)) -> SensorRig:
    """nuScenes' car: HDL-32E and six cameras all round (the rear one wider), mounted below the LiDAR."""
    width, height = size
    scale = width / 1600
    mounts = (('CAM_FRONT', 0.0, 1266.0), ('CAM_FRONT_RIGHT', -55.0, 1260.0), ('CAM_BACK_RIGHT', -110.0, 1259.0),
              ('CAM_BACK', 180.0, 809.0), ('CAM_BACK_LEFT', 110.0, 1257.0), ('CAM_FRONT_LEFT', 55.0, 1272.0))
    made = []
    for name, degrees, focal in mounts[:cameras]:
        yaw = np.radians(degrees)
        position = (0.6 * float(np.cos(yaw)), 0.5 * float(np.sin(yaw)), -0.33)
        made.append(_camera(name, width, height, focal * scale, position, float(yaw)))
    return SensorRig(hdl32(), tuple(made))
