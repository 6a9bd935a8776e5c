"""Frames into a ROS 2 bag (mcap): clouds, images, camera infos, fixed extrinsics and, where known, poses.

Messages are stored at the time a driver would publish them: a cloud when its last point is measured, an image at its
stamp. So a player that keeps recorded times also keeps the order in which a vehicle gets them.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.frame import Camera, CameraView, Frame, PointCloud
from sam2amml_core.io import bag_messages as msg

if TYPE_CHECKING:
    from typing import Self

IMAGE_FORMATS = ('raw', 'compressed', 'both', 'none')


class BagWriter:
    """Writes one bag; use it in a ``with`` block. On an error inside the block the incomplete bag is removed.

    path      folder of the bag; replaced if it is a bag already
    images    'raw' (Image rgb8), 'compressed' (CompressedImage, JPEG), 'both' or 'none'

    Raises InputError when the folder cannot be written or holds something that is not a bag.
    """

    def __init__(self, path: str | Path, images: str = 'raw') -> None:
        if images not in IMAGE_FORMATS:
            raise InputError(f'images is {images!r}; choose one of {", ".join(IMAGE_FORMATS)}')
        self.path = Path(path)
        self._images = images
        self._connections: dict[str, Any] = {}
        self._announced: set[str] = set()
        self._writer: Any = None

    def __enter__(self) -> Self:
        from rosbags.rosbag2 import StoragePlugin, Writer

        clear_bag(self.path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = Writer(self.path, version=9, storage_plugin=StoragePlugin.MCAP)
            self._writer.open()
        except OSError as error:
            raise InputError(f'cannot write bag {self.path}: {error.strerror}; choose another folder') from error
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        if kind is None:
            self._writer.close()
        else:
            self._writer.abort()
            shutil.rmtree(self.path, ignore_errors=True)

    def write(self, frame: Frame, T_world_lidar: np.ndarray | None = None, T_world_lidar_end: np.ndarray | None = None
              ) -> None:
        """Add a frame; with the LiDAR's pose at its stamp, and at the end of the sweep for the velocity, if known."""
        cloud = frame.cloud
        if frame.views:
            self._announce(tuple(view.camera for view in frame.views), cloud)
        if T_world_lidar is not None:
            self._add(msg.ODOMETRY_TOPIC, 'nav_msgs/msg/Odometry', cloud.stamp_ns, msg.odometry_message(
                T_world_lidar, cloud.stamp_ns, cloud.frame_id, T_world_lidar_end))
        for view in frame.views:
            self._write_view(view)
        self._add(msg.CLOUD_TOPIC, 'sensor_msgs/msg/PointCloud2', cloud.stamp_ns + msg.sweep_duration_ns(cloud),
                  msg.cloud_message(cloud))

    def write_odometry(self, T_world_lidar: np.ndarray, stamp_ns: int, lidar_frame: str) -> None:
        """Add a pose alone, such as the one after the last sweep."""
        self._add(msg.ODOMETRY_TOPIC, 'nav_msgs/msg/Odometry', stamp_ns,
                  msg.odometry_message(T_world_lidar, stamp_ns, lidar_frame))

    def _write_view(self, view: CameraView) -> None:
        name = view.camera.name
        if self._images in ('raw', 'both'):
            self._add(msg.image_topic(name), 'sensor_msgs/msg/Image', view.stamp_ns, msg.image_message(view))
        if self._images in ('compressed', 'both'):
            self._add(msg.compressed_topic(name), 'sensor_msgs/msg/CompressedImage', view.stamp_ns,
                      msg.compressed_message(view))
        if self._images != 'none':
            self._add(msg.camera_info_topic(name), 'sensor_msgs/msg/CameraInfo', view.stamp_ns,
                      msg.camera_info_message(view.camera, view.stamp_ns))

    def _announce(self, cameras: Sequence[Camera], cloud: PointCloud) -> None:
        """Fixed extrinsics of cameras not seen before, once each, latched; all of them together in /tf_static."""
        new = tuple(camera for camera in cameras if camera.name not in self._announced)
        for camera in new:
            self._announced.add(camera.name)
            self._add(msg.extrinsics_topic(camera.name), 'geometry_msgs/msg/TransformStamped', cloud.stamp_ns,
                      msg.extrinsics_message(camera, cloud.frame_id, cloud.stamp_ns), latched=True)
        if new:
            self._add(msg.TF_STATIC_TOPIC, 'tf2_msgs/msg/TFMessage', cloud.stamp_ns,
                      msg.tf_static_message(new, cloud.frame_id, cloud.stamp_ns), latched=True)

    def _add(self, topic: str, kind: str, stamp_ns: int, message: Any, latched: bool = False) -> None:
        store = msg.typestore()
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(topic, kind, typestore=store,
                                                                   offered_qos_profiles=[qos(latched)])
        try:
            self._writer.write(self._connections[topic], stamp_ns, store.serialize_cdr(message, kind))
        except OSError as error:
            raise InputError(f'cannot write bag {self.path}: {error.strerror}') from error


def write_bag(frames: Sequence[Frame] | Any, path: str | Path, images: str = 'raw') -> int:
    """Write an iterable of frames as a bag; returns how many. Raises InputError when there are none."""
    count = 0
    with BagWriter(path, images) as bag:
        for frame in frames:
            bag.write(frame)
            count += 1
        if not count:
            raise InputError('no frames to write into a bag; check the input')
    return count


def clear_bag(path: Path) -> None:
    """Remove a bag that lies at ``path``. Raises InputError when something else lies there."""
    if not path.exists():
        return
    if not path.is_dir() or not ((path / 'metadata.yaml').is_file() or not any(path.iterdir())
                                 or all(f.suffix in ('.mcap', '.db3') for f in path.iterdir())):
        raise InputError(f'{path} exists and is not a bag; choose another folder or remove it')
    shutil.rmtree(path)


def qos(latched: bool = False, depth: int = 5) -> Any:
    """The offered QoS stored with a topic: reliable; latched (transient local) for what is said once."""
    from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

    forever = QosTime(9223372036, 854775807)
    durability = QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE
    return Qos(QosHistory.KEEP_LAST, 1 if latched else depth, QosReliability.RELIABLE, durability, forever, forever,
               QosLiveliness.AUTOMATIC, forever, False)
