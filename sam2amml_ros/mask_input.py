"""Masks as the segmentation node hears them: the newest near a sweep, moved to where its points are; never waited for.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Image

from sam2amml_core.errors import InputError, Sam2AmmlError
from sam2amml_core.frame import CameraView, PointCloud, PointLabels
from sam2amml_core.geometry.compensation import SweepTiming, compensate, sweep_times
from sam2amml_core.io.cdr import read_stamp
from sam2amml_core.masks.lift import point_mask_ids
from sam2amml_core.masks.refine import confirm
from sam2amml_ros.cameras import CameraInput
from sam2amml_ros.mask_messages import read_mask_message
from sam2amml_ros.parameters import NodeParameters
from sam2amml_ros.transforms import Transforms

KEPT = 4
"""Masks of each camera that are remembered."""


class MaskInput:
    """Callbacks only store what comes; ``confirm`` is called by the thread that labels sweeps."""

    def __init__(self, cameras: tuple[CameraInput, ...], transforms: Transforms, timing: SweepTiming,
                 settings: NodeParameters, dropped: Callable[[str, str], None]) -> None:
        self._cameras = cameras
        self._transforms = transforms
        self._timing = timing
        self._settings = settings
        self._dropped = dropped
        self._tolerance_ns = round(1e6 * settings.mask_tolerance_ms)
        self._lock = threading.Lock()
        self._heard: dict[str, deque[tuple[int, bytes]]] = {camera.name: deque(maxlen=KEPT) for camera in cameras}

    def subscribe(self, node: Node) -> list[Any]:
        """The subscriptions, for their owner to destroy; none when masks are not used."""
        if not self._tolerance_ns:
            return []
        latest = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        return [node.create_subscription(Image, f'~/input/{camera.name}/masks', partial(self.store, camera.name),
                                         latest, raw=True) for camera in self._cameras]

    def store(self, camera: str, raw: bytes) -> None:
        """A serialised message came."""
        try:
            stamp_ns = read_stamp(raw)
        except InputError as error:
            self._dropped(f'masks of {camera}', str(error))
            return
        with self._lock:
            self._heard[camera].append((stamp_ns, raw))

    def confirm(self, cloud: PointCloud, labels: PointLabels) -> tuple[PointLabels, np.ndarray | None]:
        """Labels after the masks near this sweep have spoken, and their source uint8 [N]; None without such masks.

        Masks that cannot be used are dropped and counted.
        """
        if not self._tolerance_ns:
            return labels, None
        middle_ns = sweep_times(cloud, self._timing).middle_ns
        views, maps = [], []
        for camera in self._cameras:
            try:
                found = self._near(camera.name, middle_ns)
                if found is not None:
                    calibrated = camera.camera(cloud.frame_id)
                    ids = read_mask_message(found[1])
                    views.append(CameraView(calibrated, ids, found[0]))
                    maps.append(ids)
            except Sam2AmmlError as error:
                self._dropped(f'masks of {camera.name}', str(error))
        if not views:
            return labels, None
        motion = self._transforms.motion(cloud.frame_id) if self._settings.ego_motion else None
        moved = compensate(cloud, views, motion, self._timing, self._settings.deskew)
        try:
            return confirm(labels, point_mask_ids(moved.xyz, moved.cameras, maps))
        except InputError as error:
            self._dropped('masks', str(error))
            return labels, None

    def _near(self, camera: str, middle_ns: int) -> tuple[int, Image] | None:
        """Stamp and message of the newest masks within the tolerance, or None."""
        with self._lock:
            near = [item for item in self._heard[camera] if abs(item[0] - middle_ns) <= self._tolerance_ns]
        if not near:
            return None
        stamp_ns, raw = max(near, key=lambda item: item[0])
        try:
            return stamp_ns, deserialize_message(raw, Image)
        except Exception as error:  # rclpy raises RCLError or RuntimeError for bytes that are no such message
            raise InputError(f'masks cannot be deserialised: {error}; check their publisher') from error
