"""A dry run before the first sweep: whatever is slow the first time (memory, kernels, imports) is slow now."""

from __future__ import annotations

import numpy as np
from rclpy.serialization import serialize_message
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from sam2amml_core.frame import Frame
from sam2amml_core.io.pointcloud2 import FLOAT32, Field, decode
from sam2amml_core.lidar.flat_sweep import flat_sweep
from sam2amml_core.segmenter import Segmenter
from sam2amml_ros.conversions import byte_array, deserialize_cloud, labelled_message, point_fields

SWEEPS = 4


def rehearse(segmenter: Segmenter) -> None:
    """A full-size sweep of the model's LiDAR through all that a real one goes through, but publishing.

    To be called in the thread that will do the work.
    """
    cloud = flat_sweep(segmenter.bundle.sensor)
    more = [np.zeros(len(cloud)) if values is None else values for values in (cloud.ring, cloud.time)]
    points = np.column_stack((cloud.xyz, cloud.intensity, *more)).astype(np.float32)
    names = ('x', 'y', 'z', 'intensity', 'ring', 'time')
    fields = point_fields(Field(name, 4 * i, FLOAT32) for i, name in enumerate(names))
    raw = serialize_message(PointCloud2(
        header=Header(frame_id='rehearsal'), height=1, width=len(points), fields=fields, is_bigendian=False,
        point_step=24, row_step=24 * len(points), data=byte_array(points), is_dense=True))
    alive = []  # as many messages as may be under way at once
    for _ in range(SWEEPS):
        message = deserialize_cloud(raw)
        labelled = labelled_message(message, segmenter.segment(Frame(decode(message))))
        alive += [message, labelled, serialize_message(labelled)]
