"""The segmentation node: point clouds in, the same clouds with a class for every point out.

Callbacks only store what comes. One worker thread labels the latest sweep; sweeps that come faster are dropped and
counted. Start it as a process: ``python -m sam2amml_ros.segmentation_node --ros-args -p model:=street64``.
"""

from __future__ import annotations

import sys
import traceback
from time import perf_counter

from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import PointCloud2

from sam2amml_core.errors import Sam2AmmlError
from sam2amml_core.frame import Frame
from sam2amml_core.io.pointcloud2 import decode
from sam2amml_core.segmenter import Segmenter
from sam2amml_ros.cameras import open_cameras
from sam2amml_ros.conversions import labelled_message
from sam2amml_ros.drop_log import DropLog
from sam2amml_ros.outputs import Outputs
from sam2amml_ros.overlays import OverlayPublisher, publish_overlays
from sam2amml_ros.parameters import declare
from sam2amml_ros.process import run_node
from sam2amml_ros.worker import LatestWorker


class SegmentationNode(Node):
    """Labels every sweep of ``~/input/pointcloud``. Raises Sam2AmmlError when parameters or model are not usable."""

    def __init__(self) -> None:
        super().__init__('segmentation_node')
        self._settings = declare(self)
        self._segmenter = Segmenter.open(self._settings.model, self._settings.engine, self._settings.threads)
        self._segmenter.warm_up()
        self._drops = DropLog(self.get_logger().warning)
        self._outputs = Outputs(self, self._segmenter.bundle.schema.colors)
        self._cameras = open_cameras(self, self._settings)
        self._overlays = tuple(OverlayPublisher(self, camera, self._settings.overlay_rate) for camera in self._cameras)
        self._scale = self._settings.intensity_scale or 'auto'
        self._worker = LatestWorker(self._label, self._failed)
        self._worker.start()
        self._subscription = self.create_subscription(
            PointCloud2, '~/input/pointcloud', self._worker.put, qos_profile_sensor_data, raw=True,
            qos_overriding_options=QoSOverridingOptions.with_default_policies())
        self.get_logger().info(f'ready: model {self._segmenter.bundle.name} in {self._segmenter.engine.name}, clouds from '
                               f'{self._subscription.topic_name}, cameras: {", ".join(c.name for c in self._cameras) or "none"}')

    @property
    def dropped(self) -> int:
        """Sweeps not labelled, for whatever reason."""
        return self._worker.dropped + self._drops.counts['sweep']

    def close(self) -> None:
        """End the worker; the sweep it works on is finished first."""
        if not self._worker.stop():
            self.get_logger().warning('the sweep being labelled did not end in time')

    def _label(self, raw: bytes) -> None:
        """One sweep through all stages, in the worker thread."""
        start = perf_counter()
        try:
            message = deserialize_message(raw, PointCloud2)
            cloud = decode(message, self._scale)
            decoded = perf_counter()
            labels = self._segmenter.segment(Frame(cloud))
        except Sam2AmmlError as error:
            self._drop(str(error))
            return
        inferred = perf_counter()
        labelled = labelled_message(message, labels)
        encoded = perf_counter()
        self._outputs.publish_labels(labelled)
        published = perf_counter()
        self._outputs.publish_times({
            'decode': 1e3 * (decoded - start), **labels.stage_ms, 'encode': 1e3 * (encoded - inferred),
            'publish': 1e3 * (published - encoded), 'total': 1e3 * (published - start)}, cloud.stamp_ns)
        self._outputs.publish_dropped(self.dropped)
        self._outputs.publish_visualization(message, cloud, labels)
        publish_overlays(self._overlays, cloud, labels.class_id, self._outputs.colors, self._drops.add)

    def _drop(self, reason: str) -> None:
        self._drops.add('sweep', reason)
        self._outputs.publish_dropped(self.dropped)

    def _failed(self, error: Exception) -> None:
        """An error nobody foresaw costs one sweep, not the node."""
        if not self.context.ok():
            return  # shut down while publishing
        detail = ''.join(traceback.format_exception(error)).strip()
        self._drop(f'unexpected error, please report it: {detail}')


def main(args: list[str] | None = None) -> int:
    """Run until SIGINT or SIGTERM; returns the exit status."""
    return run_node(SegmentationNode, args)


if __name__ == '__main__':
    sys.exit(main())
