"""The sensor data that fault cases are made of: a ring of walls around a 32-beam LiDAR, and plain images."""

from __future__ import annotations

from functools import cache

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TransformStamped
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header

from sam2amml_core.io.pointcloud2 import TYPES, Field
from sam2amml_ros.conversions import byte_array, point_fields

LIDAR_FRAME = 'lidar'
WIDTH, HEIGHT = 640, 360
PLAIN = (Field('x', 0, 7), Field('y', 4, 7), Field('z', 8, 7), Field('intensity', 12, 7), Field('ring', 16, 4),
         Field('time', 20, 7))


def time_message(stamp_ns: int) -> Time:
    return Time(sec=stamp_ns // 1_000_000_000, nanosec=stamp_ns % 1_000_000_000)


@cache
def sweep(columns: int = 1024) -> np.ndarray:
    """float32 [32 * columns, 6]: x, y, z, intensity, ring, time of a level street between walls 12 m away."""
    elevation = np.radians(10.67 - np.arange(32) * 4 / 3)[:, None]
    share = np.arange(columns)[None] / columns
    azimuth = np.pi - 2 * np.pi * share
    down = np.where(elevation < 0, 1.84 / -np.tan(np.minimum(elevation, -1e-3)), 80.0)
    wall = 12 / np.maximum(np.abs(np.sin(azimuth)), 0.15)
    reach = np.minimum(down, wall)
    shape = np.broadcast_shapes(reach.shape, elevation.shape)
    columns_of = (reach * np.cos(azimuth), reach * np.sin(azimuth), reach * np.tan(elevation), 0.3 + 0.2 * share,
                  np.arange(32)[:, None], 0.1 * share)
    return np.stack([np.broadcast_to(c, shape).ravel() for c in columns_of], axis=1).astype(np.float32)


def cloud(stamp_ns: int, points: np.ndarray | None = None, fields: tuple[Field, ...] = PLAIN, step: int = 24,
          height: int = 1, row_padding: int = 0, bigendian: bool = False) -> PointCloud2:
    """A cloud with columns as ``sweep`` (further fields hold zeros)."""
    points = sweep() if points is None else points
    width = len(points) // height
    row_step = width * step + row_padding
    data = np.zeros(height * row_step, np.uint8)
    order = '>' if bigendian else '<'
    for column, field in enumerate(fields[:points.shape[1]] if len(points) else ()):
        grid = np.ndarray((height, width), order + TYPES[field.datatype], data, field.offset, (row_step, step))
        grid[...] = points[:height * width, column].reshape(height, width)
    return PointCloud2(header=Header(stamp=time_message(stamp_ns), frame_id=LIDAR_FRAME), height=height, width=width,
                       fields=point_fields(fields), is_bigendian=bigendian, point_step=step, row_step=row_step,
                       data=byte_array(data), is_dense=True)


def image(camera: str, stamp_ns: int) -> Image:
    """A grey rgb8 image."""
    return Image(header=Header(stamp=time_message(stamp_ns), frame_id=f'{camera}_optical'), height=HEIGHT, width=WIDTH,
                 encoding='rgb8', step=3 * WIDTH, data=byte_array(np.full(3 * WIDTH * HEIGHT, 90, np.uint8)))


def camera_info(camera: str, stamp_ns: int) -> CameraInfo:
    return CameraInfo(header=Header(stamp=time_message(stamp_ns), frame_id=f'{camera}_optical'), height=HEIGHT,
                      width=WIDTH, distortion_model='plumb_bob', d=[0.0] * 5,
                      k=[400.0, 0.0, 320.0, 0.0, 400.0, 180.0, 0.0, 0.0, 1.0])


def extrinsics(camera: str) -> TransformStamped:
    """Looking along the LiDAR's x axis."""
    pose = TransformStamped(header=Header(frame_id=LIDAR_FRAME), child_frame_id=f'{camera}_optical')
    turn = pose.transform.rotation
    turn.x, turn.y, turn.z, turn.w = -0.5, 0.5, -0.5, 0.5
    return pose
