"""Camera inputs of a node: callbacks only store or pass on what comes; it is decoded when somebody needs it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from sam2amml_core.errors import InputError
from sam2amml_core.frame import Camera, CameraView
from sam2amml_core.geometry.calibration_file import read_calibration_file
from sam2amml_core.geometry.camera_info import camera_from_info
from sam2amml_core.io.cdr import HEADER_BYTES
from sam2amml_core.io.images import decode_compressed, decode_image
from sam2amml_ros.camera_track import StampedImage
from sam2amml_ros.parameters import NodeParameters
from sam2amml_ros.transforms import LATCHED, Transforms

__all__ = ['LATCHED', 'CameraInput', 'open_cameras', 'sensor_data']


def sensor_data() -> QoSProfile:
    """Best effort, the last five: what sensors offer. A new profile each time, since QoS overrides change it in place.
    """
    return QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)


class CameraInput:
    """One camera: where its images go, and its calibration once known.

    fixed  the camera of a calibration file; then camera info and transforms are not heard
    """

    def __init__(self, name: str, parameters: NodeParameters, transforms: Transforms, fixed: Camera | None) -> None:
        self.name = name
        self._rectified = parameters.rectified
        self._transforms = transforms
        self._fixed = fixed
        self._info: bytes | None = None
        self._made: tuple[tuple[Any, ...], Camera | InputError] | None = None
        self._type = Image if parameters.image_transport == 'raw' else CompressedImage

    @property
    def is_fixed(self) -> bool:
        """Calibrated by a file."""
        return self._fixed is not None

    def subscribe(self, node: Node, store_image: Callable[[str, bytes], None]) -> list[Any]:
        """The subscriptions, for their owner to destroy; ``store_image(name, serialised)`` gets each image."""
        topic = f'~/input/{self.name}/image' + ('' if self._type is Image else '/compressed')
        made = [node.create_subscription(self._type, topic, partial(store_image, self.name), sensor_data(), raw=True,
                                         qos_overriding_options=QoSOverridingOptions.with_default_policies())]
        if self._fixed is None:
            made.append(node.create_subscription(CameraInfo, f'~/input/{self.name}/camera_info', self._store_info,
                                                 sensor_data(), raw=True))
        return made

    def view(self, image: StampedImage[bytes], lidar_frame: str) -> tuple[CameraView, Header]:
        """An image that came, decoded, and its header. Raises InputError naming what is missing or wrong."""
        camera = self.camera(lidar_frame)
        try:
            message = deserialize_message(image.payload, self._type)
        except Exception as error:  # rclpy raises RCLError or RuntimeError for bytes that are no such message
            raise InputError(f'camera {self.name}: image cannot be deserialised: {error}; '
                             'check the driver') from error
        pixels = decode_image(message) if self._type is Image else decode_compressed(message)
        if pixels.shape[:2] != (camera.height, camera.width):
            raise InputError(f'camera {self.name}: images are {pixels.shape[1]} x {pixels.shape[0]}, its calibration '
                             f'says {camera.width} x {camera.height}; use the camera_info of this image topic')
        return CameraView(camera, pixels, image.stamp_ns), message.header

    def camera(self, lidar_frame: str) -> Camera:
        """The calibrated camera; made again when camera info or transforms change. Raises InputError until known."""
        if self._fixed is not None:
            return self._fixed
        info = self._info
        if info is None:
            raise InputError(f'camera {self.name}: no camera_info has come yet; check the topic, '
                             'or give a calibration_file')
        state = (info[HEADER_BYTES:], self._transforms.revision, lidar_frame)
        if self._made is None or self._made[0] != state:
            try:
                self._made = (state, self._make(info, lidar_frame))
            except InputError as error:
                self._made = (state, error)
        found = self._made[1]
        if isinstance(found, InputError):
            raise found
        return found

    def _make(self, raw: bytes, lidar_frame: str) -> Camera:
        try:
            info = deserialize_message(raw, CameraInfo)
        except Exception as error:  # as above
            raise InputError(f'camera {self.name}: camera_info cannot be deserialised: {error}; '
                             'check the driver') from error
        pose = self._transforms.find(info.header.frame_id, lidar_frame)
        if pose is None:
            raise InputError(f'camera {self.name}: no transform from {lidar_frame!r} to {info.header.frame_id!r}; '
                             f'publish it on /tf_static or ~/input/{self.name}/extrinsics, or give a calibration_file')
        return camera_from_info(info, pose, self.name, self._rectified)

    def _store_info(self, raw: bytes) -> None:
        if len(raw) > HEADER_BYTES:
            self._info = raw


def open_cameras(parameters: NodeParameters, transforms: Transforms) -> tuple[CameraInput, ...]:
    """All cameras of the parameters. Raises InputError when the calibration file lacks one."""
    fixed: dict[str, Camera] = {}
    if parameters.calibration_file:
        fixed = {camera.name: camera for camera in read_calibration_file(Path(parameters.calibration_file))}
        missing = [name for name in parameters.camera_names if name not in fixed]
        if missing:
            raise InputError(f'calibration file {parameters.calibration_file} has no camera {", ".join(missing)} '
                             f'(it has {", ".join(fixed)}); add it or correct camera_names')
    return tuple(CameraInput(name, parameters, transforms, fixed.get(name)) for name in parameters.camera_names)
