"""``~/debug/<camera>/overlay``: a sweep's labels drawn on the image nearest to it, now and then, if somebody looks."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from time import monotonic

import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from sam2amml_core.errors import InputError
from sam2amml_core.frame import CameraView, PointCloud, PointLabels
from sam2amml_core.viz.labelled_view import labelled_view
from sam2amml_ros.camera_track import StampedImage
from sam2amml_ros.cameras import CameraInput
from sam2amml_ros.collector import OFF, Match
from sam2amml_ros.conversions import image_message

Compensate = Callable[[PointCloud, CameraView], tuple[PointCloud, CameraView]]
"""Brings a sweep and an image to one time."""


class OverlayPublisher:
    """Draws for one camera, at most ``rate`` times a second."""

    def __init__(self, node: Node, camera: CameraInput, rate: float) -> None:
        self.camera = camera
        self.rate = rate
        self._node = node
        self._last = -1e9
        reliable = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
        self._publisher = node.create_publisher(Image, f'~/debug/{camera.name}/overlay', reliable)

    @property
    def wanted(self) -> bool:
        """Somebody subscribes and the last one is old enough."""
        return monotonic() >= self._last + 1 / self.rate and self._publisher.get_subscription_count() > 0

    def publish(self, image: StampedImage[bytes], cloud: PointCloud, labels: PointLabels, colors: np.ndarray,
                compensated: Compensate) -> None:
        """Draw the visible points; colors uint8 [256, 3] by class id. Raises InputError if the camera is not ready."""
        view, header = self.camera.view(image, cloud.frame_id)
        moved_cloud, moved_view = compensated(cloud, view)
        self._last = monotonic()
        drawn = labelled_view(moved_view, moved_cloud.xyz, colors[labels.class_id])
        self._publisher.publish(image_message(header, drawn))

    def close(self) -> None:
        self._node.destroy_publisher(self._publisher)


def publish_overlays(overlays: tuple[OverlayPublisher, ...], match: Match[bytes, bytes], cloud: PointCloud,
                     labels: PointLabels, colors: np.ndarray, compensated: Compensate,
                     dropped: Callable[[str, str], None]) -> None:
    """Publish those wanted; what stands in the way of one is given to ``dropped`` as (kind, reason)."""
    for publisher in overlays:
        name = publisher.camera.name
        if not publisher.wanted or match.missing.get(name) == OFF:
            continue
        try:
            if name not in match.images:
                raise InputError(f'camera {name}: {match.missing.get(name, "no image")}; check the topic, its QoS, and '
                                 'that both sensors use the same clock')
            publisher.publish(match.images[name], cloud, labels, colors, compensated)
        except InputError as error:
            dropped(f'overlay of {name}', str(error))
        except Exception as error:  # the sweep is labelled and published: a picture must not count as its loss
            detail = ''.join(traceback.format_exception(error)).strip()
            dropped(f'overlay of {name}', f'unexpected error, please report it: {detail}')
