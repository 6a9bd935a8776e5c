"""Camera inputs of a node: callbacks only store what comes; it is decoded when somebody needs it."""

from __future__ import annotations

import importlib.util
import threading
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from sam2amml_core.errors import InputError
from sam2amml_core.frame import Camera, CameraView, PointCloud
from sam2amml_core.geometry.calibration_file import read_calibration_file
from sam2amml_core.geometry.camera_info import camera_from_info
from sam2amml_core.io.bag_messages import sweep_duration_ns
from sam2amml_core.io.cdr import HEADER_BYTES, read_stamp
from sam2amml_core.io.frame_tree import FrameTree
from sam2amml_core.io.images import decode_compressed, decode_image
from sam2amml_ros.parameters import NodeParameters

KEPT_IMAGES = 4
MAX_APART_NS = 150_000_000
"""An image further than this from the middle of a sweep is not drawn with it."""

LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Transforms:
    """Fixed transforms heard on ``~/input/<camera>/extrinsics`` and, where tf2_msgs is installed, on ``/tf_static``."""

    def __init__(self, node: Node, cameras: tuple[str, ...]) -> None:
        self._tree = FrameTree()
        self._lock = threading.Lock()
        self.revision = 0
        self._subscriptions = [node.create_subscription(TransformStamped, f'~/input/{name}/extrinsics', self._add, LATCHED)
                               for name in cameras]
        if cameras and importlib.util.find_spec('tf2_msgs') is not None:
            from tf2_msgs.msg import TFMessage

            many = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE,
                              durability=DurabilityPolicy.TRANSIENT_LOCAL)
            self._subscriptions.append(node.create_subscription(TFMessage, '/tf_static', self._add_all, many))

    def find(self, target: str, source: str) -> np.ndarray | None:
        """T_target_source, or None while nothing connects them."""
        with self._lock:
            return self._tree.find(target, source)

    def _add(self, message: TransformStamped) -> None:
        with self._lock:
            try:
                self._tree.add(message)
            except InputError:
                return  # a rotation of length 0: as good as none, the look-up will say what is missing
            self.revision += 1

    def _add_all(self, message: Any) -> None:
        for entry in message.transforms:
            self._add(entry)


class CameraInput:
    """One camera: its latest images, serialised, and its calibration once known."""

    def __init__(self, node: Node, name: str, parameters: NodeParameters, transforms: Transforms,
                 fixed: Camera | None) -> None:
        self.name = name
        self._rectified = parameters.rectified
        self._transforms = transforms
        self._images: deque[bytes] = deque(maxlen=KEPT_IMAGES)
        self._info: bytes | None = None
        self._camera = fixed
        self._fixed = fixed is not None
        self._made_from: tuple[Any, ...] | None = None
        self._type = Image if parameters.image_transport == 'raw' else CompressedImage
        topic = f'~/input/{name}/image' + ('' if self._type is Image else '/compressed')
        self._subscriptions = [node.create_subscription(self._type, topic, self._store_image, qos_profile_sensor_data,
                                                        raw=True)]
        if fixed is None:
            self._subscriptions.append(node.create_subscription(CameraInfo, f'~/input/{name}/camera_info', self._store_info,
                                                                qos_profile_sensor_data, raw=True))

    def view(self, cloud: PointCloud) -> tuple[CameraView, Header]:
        """The image nearest to the middle of a sweep, decoded, and its header. Raises InputError naming what is missing or wrong."""
        camera = self.camera(cloud.frame_id)
        middle = cloud.stamp_ns + sweep_duration_ns(cloud) // 2
        images = list(self._images)
        if not images:
            raise InputError(f'camera {self.name}: no image has come yet; check the topic and its QoS')
        raw = min(images, key=lambda image: abs(read_stamp(image) - middle))
        stamp = read_stamp(raw)
        if abs(stamp - middle) > MAX_APART_NS:
            raise InputError(f'camera {self.name}: its nearest image is {(stamp - middle) * 1e-9:+.2f} s from the sweep; '
                             'check that both sensors use the same clock')
        message = deserialize_message(raw, self._type)
        image = decode_image(message) if self._type is Image else decode_compressed(message)
        if image.shape[:2] != (camera.height, camera.width):
            raise InputError(f'camera {self.name}: images are {image.shape[1]} x {image.shape[0]}, its calibration says '
                             f'{camera.width} x {camera.height}; use the camera_info of this image topic')
        return CameraView(camera, image, stamp), message.header

    def camera(self, lidar_frame: str) -> Camera:
        """The calibrated camera; made again when camera info or transforms change. Raises InputError until known."""
        if self._fixed and self._camera is not None:
            return self._camera
        if self._info is None:
            raise InputError(f'camera {self.name}: no camera_info has come yet; check the topic, '
                             'or give a calibration_file')
        state = (self._info[HEADER_BYTES:], self._transforms.revision, lidar_frame)
        if self._camera is None or state != self._made_from:
            info = deserialize_message(self._info, CameraInfo)
            pose = self._transforms.find(info.header.frame_id, lidar_frame)
            if pose is None:
                raise InputError(f'camera {self.name}: no transform from {lidar_frame!r} to {info.header.frame_id!r}; '
                                 f'publish it on /tf_static or ~/input/{self.name}/extrinsics, or give a calibration_file')
            self._camera = camera_from_info(info, pose, self.name, self._rectified)
            self._made_from = state
        return self._camera

    def _store_image(self, raw: bytes) -> None:
        self._images.append(raw)

    def _store_info(self, raw: bytes) -> None:
        self._info = raw


def open_cameras(node: Node, parameters: NodeParameters) -> tuple[CameraInput, ...]:
    """Subscribe to all cameras of the parameters. Raises InputError when the calibration file lacks one."""
    fixed: dict[str, Camera] = {}
    if parameters.calibration_file:
        fixed = {camera.name: camera for camera in read_calibration_file(Path(parameters.calibration_file))}
        missing = [name for name in parameters.camera_names if name not in fixed]
        if missing:
            raise InputError(f'calibration file {parameters.calibration_file} has no camera {", ".join(missing)} '
                             f'(it has {", ".join(fixed)}); add it or correct camera_names')
    transforms = Transforms(node, parameters.camera_names if not fixed else ())
    return tuple(CameraInput(node, name, parameters, transforms, fixed.get(name)) for name in parameters.camera_names)
