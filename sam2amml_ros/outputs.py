"""What the segmentation node publishes for one sweep; optional things only if somebody subscribes."""

from __future__ import annotations

from time import monotonic
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Float64, UInt64

from sam2amml_core.frame import PointCloud, PointLabels
from sam2amml_core.viz.palette import palette
from sam2amml_ros.collector import Match
from sam2amml_ros.conversions import coloured_message, packed, selected_message
from sam2amml_ros.stages import DROPPED_TOPIC, LATENCY_TOPIC, STAGES, stage_topic
from sam2amml_ros.transforms import LATCHED

RELIABLE = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
SANE_LATENCY_S = 60.0
"""A latency outside 0 .. this means that stamp and clock do not belong together (a replayed recording)."""


class Outputs:
    """All publishers of clouds and timings; ``close`` destroys them.

    Made with the class colours uint8 [C + 1, 3]; ``colors`` uint8 [256, 3] has one for every id, RGB.
    """

    def __init__(self, node: Node, colors: np.ndarray, cameras: tuple[str, ...] = ()) -> None:
        self._node = node
        self.colors = palette(colors)
        self._packed = packed(self.colors)
        self._made: list[Any] = []
        self._segmentation = self._make(PointCloud2, '~/output/segmentation')
        self._visualization = self._make(PointCloud2, '~/output/visualization')
        self._filtered = self._make(PointCloud2, '~/output/filtered')
        self._times = {stage: self._make(Float64, stage_topic(stage)) for stage in STAGES}
        self._latency = self._make(Float64, LATENCY_TOPIC)
        self._cycle = self._make(Float64, '~/debug/cyclic_time_ms')
        self._skews = {name: self._make(Float64, f'~/debug/{name}/timestamp_interval_ms') for name in cameras}
        self._dropped = self._make(UInt64, DROPPED_TOPIC, LATCHED)
        self._last_dropped = -1
        self._last_sweep = float('nan')

    def close(self) -> None:
        for publisher in self._made:
            self._node.destroy_publisher(publisher)
        self._made.clear()

    def publish_labels(self, message: PointCloud2) -> None:
        self._segmentation.publish(message)

    def publish_visualization(self, message: PointCloud2, cloud: PointCloud, labels: PointLabels) -> None:
        """The coloured cloud, computed only if somebody subscribes."""
        if self._visualization.get_subscription_count():
            self._visualization.publish(coloured_message(message, cloud.xyz, self._packed[labels.class_id]))

    def publish_filtered(self, message: PointCloud2, labels: PointLabels, left_out: np.ndarray) -> None:
        """The input cloud without the classes bool [256] left out; only if somebody subscribes."""
        if self._filtered.get_subscription_count():
            self._filtered.publish(selected_message(message, ~left_out[labels.class_id]))

    def publish_times(self, stage_ms: dict[str, float], stamp_ns: int) -> None:
        """Stage times, latency since the header's stamp, time since the sweep before."""
        latency_s = (self._node.get_clock().now().nanoseconds - stamp_ns) * 1e-9
        for stage, publisher in self._times.items():
            if stage in stage_ms:
                publisher.publish(Float64(data=stage_ms[stage]))
        if 0 <= latency_s <= SANE_LATENCY_S:
            self._latency.publish(Float64(data=1e3 * latency_s))
        now = monotonic()
        if now - self._last_sweep < SANE_LATENCY_S:
            self._cycle.publish(Float64(data=1e3 * (now - self._last_sweep)))
        self._last_sweep = now

    def publish_skews(self, match: Match[bytes, bytes]) -> None:
        """For each camera used: the stamp of its image minus that of the sweep."""
        for name, image in match.images.items():
            self._skews[name].publish(Float64(data=1e-6 * (image.stamp_ns - match.stamp_ns)))

    def publish_dropped(self, count: int) -> None:
        """The number of sweeps not labelled, when it changed."""
        if count != self._last_dropped:
            self._last_dropped = count
            self._dropped.publish(UInt64(data=count))

    def _make(self, kind: Any, topic: str, qos: QoSProfile = RELIABLE) -> Any:
        self._made.append(self._node.create_publisher(kind, topic, qos))
        return self._made[-1]
