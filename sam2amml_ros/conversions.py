"""numpy arrays as ROS messages, at the price of one copy."""

from __future__ import annotations

import array
from collections.abc import Iterable

import numpy as np
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Image, PointCloud2, PointField
from std_msgs.msg import Header

from sam2amml_core.errors import InputError
from sam2amml_core.frame import PointLabels
from sam2amml_core.io.pointcloud2 import FLOAT32, Field, encode_labelled


def byte_array(data: np.ndarray) -> array.array[int]:
    """Any contiguous array as ``array.array('B')``, the one type rclpy takes without checking every element."""
    result = array.array('B')
    result.frombytes(np.ascontiguousarray(data).reshape(-1).view(np.uint8).data)
    return result


def deserialize_cloud(raw: bytes) -> PointCloud2:
    """Raises InputError for bytes that are no PointCloud2."""
    try:
        return deserialize_message(raw, PointCloud2)
    except Exception as error:  # rclpy raises RCLError or RuntimeError
        raise InputError(f'cloud cannot be deserialised: {error}; check its publisher') from error


def labelled_message(message: PointCloud2, labels: PointLabels, source: np.ndarray | None = None) -> PointCloud2:
    """The input cloud with ``class_id``, ``probability`` and ``source`` added: same header, shape, fields and order.

    source  uint8 [N], see ``encode_labelled``; None: all of the LiDAR alone
    """
    fields, step, data = encode_labelled(message, labels.class_id, labels.probability, source)
    return PointCloud2(header=message.header, height=message.height, width=message.width, fields=point_fields(fields),
                       is_bigendian=message.is_bigendian, point_step=step, row_step=step * message.width,
                       data=byte_array(data), is_dense=message.is_dense)


def selected_message(message: PointCloud2, kept: np.ndarray) -> PointCloud2:
    """Some points of a cloud, bool [N], in their order, with all their fields and bytes; no longer organised."""
    step, height, width = message.point_step, message.height, message.width
    rows = np.ndarray((height, width), f'V{step}', np.frombuffer(message.data, np.uint8),
                      strides=(message.row_step if height > 1 else width * step, step))
    chosen = rows[kept.reshape(height, width)]
    return PointCloud2(header=message.header, height=1, width=len(chosen), fields=message.fields,
                       is_bigendian=message.is_bigendian, point_step=step, row_step=step * len(chosen),
                       data=byte_array(chosen), is_dense=message.is_dense)


def coloured_message(message: PointCloud2, xyz: np.ndarray, rgb: np.ndarray) -> PointCloud2:
    """x, y, z and ``rgb`` as RViz wants it: ``r << 16 | g << 8 | b`` in the bits of a FLOAT32.

    xyz float32 [N, 3]; rgb uint32 [N]; N = height * width of the message.
    """
    points = np.empty((len(xyz), 4), '<u4')
    points[:, :3] = np.ascontiguousarray(xyz, '<f4').view('<u4')
    points[:, 3] = rgb
    fields = point_fields(Field(name, 4 * i, FLOAT32) for i, name in enumerate(('x', 'y', 'z', 'rgb')))
    return PointCloud2(header=message.header, height=message.height, width=message.width, fields=fields,
                       is_bigendian=False, point_step=16, row_step=16 * message.width, data=byte_array(points),
                       is_dense=message.is_dense)


def image_message(header: Header, image: np.ndarray) -> Image:
    """uint8 [H, W, 3] RGB as an rgb8 Image."""
    height, width = image.shape[:2]
    return Image(header=header, height=height, width=width, encoding='rgb8', is_bigendian=0, step=3 * width,
                 data=byte_array(image))


def point_fields(fields: Iterable[Field]) -> list[PointField]:
    return [PointField(name=f.name, offset=f.offset, datatype=f.datatype, count=f.count) for f in fields]


def packed(colors: np.ndarray) -> np.ndarray:
    """RGB uint8 [K, 3] as ``r << 16 | g << 8 | b``, uint32 [K]."""
    wide = colors.astype(np.uint32)
    return wide[:, 0] << 16 | wide[:, 1] << 8 | wide[:, 2]
