"""The sweep that the cloud benchmarks decode and encode, as a 64-beam driver publishes it."""

from __future__ import annotations

import array
from types import SimpleNamespace

import numpy as np

from sam2amml_core.io.pointcloud2 import TYPES

FIELDS = (('x', 0, 7), ('y', 4, 7), ('z', 8, 7), ('intensity', 16, 7), ('t', 20, 6), ('reflectivity', 24, 4),
          ('ring', 26, 2), ('ambient', 28, 4), ('range', 32, 6))
POINT_STEP = 48


def make_message(points: int) -> SimpleNamespace:
    """A PointCloud2 look-alike with nine fields and padding, one point in a hundred NaN."""
    random = np.random.default_rng(0)
    data = np.zeros((points, POINT_STEP), np.uint8)
    values = {'x': random.normal(0, 20, points), 'y': random.normal(0, 20, points), 'z': random.normal(-1, 1, points),
              'intensity': random.random(points), 't': np.linspace(0, 1e8, points),
              'ring': random.integers(0, 64, points)}
    values['x'][::100] = np.nan
    for name, offset, kind in FIELDS:
        column = np.ndarray(points, TYPES[kind], data, offset, (POINT_STEP,))
        column[:] = values.get(name, np.arange(points) % 200)
    fields = [SimpleNamespace(name=name, offset=offset, datatype=kind, count=1) for name, offset, kind in FIELDS]
    stamp = SimpleNamespace(sec=1, nanosec=2)
    buffer = array.array('B')
    buffer.frombytes(data.tobytes())
    return SimpleNamespace(header=SimpleNamespace(stamp=stamp, frame_id='lidar'), height=1, width=points, fields=fields,
                           is_bigendian=False, point_step=POINT_STEP, row_step=points * POINT_STEP, data=buffer,
                           is_dense=False)


def ros_message(message: SimpleNamespace) -> object:
    """The same as a real message, for sensor_msgs_py. Raises ImportError where it is not installed."""
    from sensor_msgs.msg import PointCloud2, PointField

    fields = [PointField(**vars(field)) for field in message.fields]
    result = PointCloud2(**{k: v for k, v in vars(message).items() if k not in ('header', 'fields')}, fields=fields)
    result.header.frame_id = 'lidar'
    return result
