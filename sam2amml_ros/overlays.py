"""``~/debug/<camera>/overlay``: a sweep's labels drawn on the image nearest to it, now and then, if somebody looks."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from sam2amml_core.errors import InputError
from sam2amml_core.frame import CameraView, PointCloud
from sam2amml_core.geometry.projection import project
from sam2amml_core.geometry.visibility import visible_points
from sam2amml_ros.cameras import CameraInput
from sam2amml_ros.conversions import image_message


class OverlayPublisher:
    """Draws for one camera, at most ``rate`` times a second."""

    def __init__(self, node: Node, camera: CameraInput, rate: float) -> None:
        self.camera = camera
        self._period = 1.0 / rate
        self._next = 0.0
        reliable = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
        self._publisher = node.create_publisher(Image, f'~/debug/{camera.name}/overlay', reliable)

    @property
    def wanted(self) -> bool:
        """Somebody subscribes and the last one is old enough."""
        return monotonic() >= self._next and self._publisher.get_subscription_count() > 0

    def publish(self, cloud: PointCloud, class_id: np.ndarray, colors: np.ndarray) -> None:
        """Draw the visible points; colors uint8 [256, 3] by class id. Raises InputError if the camera is not ready."""
        view, header = self.camera.view(cloud)
        self._next = monotonic() + self._period
        self._publisher.publish(image_message(header, draw(view, cloud, class_id, colors)))


def draw(view: CameraView, cloud: PointCloud, class_id: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """The image uint8 [H, W, 3] with the points the camera sees, in the colours of their classes."""
    from sam2amml_core.viz import overlay  # only when somebody looks

    points = project(cloud.xyz, [view.camera])[0]
    seen = visible_points(points, view.camera)
    return overlay(view.image, points.uv[seen], colors[class_id[points.index[seen]]])


def publish_overlays(overlays: tuple[OverlayPublisher, ...], cloud: PointCloud, class_id: np.ndarray, colors: np.ndarray,
                     dropped: Callable[[str, str], None]) -> None:
    """Publish those wanted; what stands in the way of one is given to ``dropped`` as (kind, reason)."""
    for publisher in overlays:
        if publisher.wanted:
            try:
                publisher.publish(cloud, class_id, colors)
            except InputError as error:
                dropped(f'overlay of {publisher.camera.name}', str(error))
