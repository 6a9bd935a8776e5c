"""A ROS 2 bag (mcap or sqlite3) as frames: the clouds a node would get, with the image of each camera nearest in time.

Extrinsics come from ``<camera>/extrinsics`` or ``/tf_static``, intrinsics from the camera's CameraInfo topic. Needs the
``rosbags`` library, no ROS.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.frame import Camera, CameraView, Frame, PointCloud
from sam2amml_core.geometry.camera_info import camera_from_info
from sam2amml_core.io.bag_messages import sweep_duration_ns
from sam2amml_core.io.frame_tree import FrameTree
from sam2amml_core.io.images import decode_compressed, decode_image
from sam2amml_core.io.labels import read_label
from sam2amml_core.io.pointcloud2 import decode

logger = logging.getLogger(__name__)

CLOUD, IMAGE, COMPRESSED, INFO = (f'sensor_msgs/msg/{kind}' for kind in
                                  ('PointCloud2', 'Image', 'CompressedImage', 'CameraInfo'))
MAX_IMAGE_AGE_NS = 150_000_000
"""An image farther than this from the middle of a sweep does not belong to it."""


class BagInput:
    """Sweeps of one PointCloud2 topic, numbered from 000000.

    topic   of the clouds; the only one, or ``/lidar/points``, when not given
    labels  folder of ``.label`` files of the sweeps, raw ids of SemanticKITTI, if there is truth
    images  pair each sweep with the nearest image of every calibrated camera (within 0.15 s)
    Raises InputError when it is no bag, has no cloud, or several cloud topics and none was named.
    """

    kind = 'ROS 2 bag'

    def __init__(self, path: str | Path, topic: str | None = None, images: bool = True,
                 labels: Path | None = None) -> None:
        self.path = Path(path)
        self.labels = labels
        self.schema = '' if labels is None else 'semantic_kitti'
        with open_bag(self.path) as reader:
            counts = {c.topic: c.msgcount for c in reader.connections if c.msgtype == CLOUD}
            self.topic = _choose(self.path, counts, topic)
            self._length = counts[self.topic]
            if not self._length:
                raise InputError(f'bag {self.path}: topic {self.topic} holds no message')
            first = self._first_cloud(reader)
            self._cameras = self._read_cameras(reader, first.frame_id) if images else {}
        self.model = suggest_model(first)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[tuple[str, Frame]]:
        """Sweeps wait until every camera has an image after their stamp, or for 0.15 s of recording."""
        waiting: list[PointCloud] = []
        views: dict[str, list[CameraView]] = {topic: [] for topic in self._cameras}
        number = 0
        with open_bag(self.path) as reader:
            wanted = [c for c in reader.connections if c.topic == self.topic or c.topic in self._cameras]
            for connection, recorded_ns, raw in reader.messages(wanted):
                message = reader.deserialize(raw, connection.msgtype)
                if connection.topic == self.topic:
                    waiting.append(self._cloud(message, number + len(waiting)))
                else:
                    views[connection.topic].append(self._view(connection, message))
                while waiting and self._complete(waiting[0], views, recorded_ns):
                    yield f'{number:06d}', self._frame(waiting.pop(0), views)
                    number += 1
        for cloud in waiting:
            yield f'{number:06d}', self._frame(cloud, views)
            number += 1

    def truth(self, name: str) -> np.ndarray | None:
        if self.labels is None or not (self.labels / f'{name}.label').is_file():
            return None
        return read_label(self.labels / f'{name}.label') & 0xFFFF

    def _first_cloud(self, reader: Any) -> PointCloud:
        connection = next(c for c in reader.connections if c.topic == self.topic)
        _, _, raw = next(reader.messages([connection]))
        return self._cloud(reader.deserialize(raw, connection.msgtype), 0)

    def _cloud(self, message: Any, number: int) -> PointCloud:
        try:
            return decode(message)
        except InputError as error:
            raise InputError(f'bag {self.path}, topic {self.topic}, message {number}: {error}') from error

    def _read_cameras(self, reader: Any, lidar_frame: str) -> dict[str, Camera]:
        """Image topic -> Camera, for those with intrinsics and extrinsics; of a raw and a compressed topic the raw one.
        """
        tree = FrameTree()
        infos: dict[str, Any] = {}
        fixed = [c for c in reader.connections if c.msgtype == INFO or c.topic.endswith('tf_static')
                 or (c.msgtype == 'geometry_msgs/msg/TransformStamped' and c.topic.endswith('/extrinsics'))]
        for connection, _, raw in reader.messages(fixed) if fixed else ():
            if connection.msgtype == INFO and connection.topic in infos:
                continue
            message = reader.deserialize(raw, connection.msgtype)
            if connection.msgtype == INFO:
                infos[connection.topic] = message
            else:
                for entry in getattr(message, 'transforms', (message,)):
                    tree.add(entry)
        cameras: dict[str, Camera] = {}
        for topic in sorted(c.topic for c in reader.connections if c.msgtype in (IMAGE, COMPRESSED)):
            base = topic.removesuffix('/compressed')
            info = infos.get(f'{base.rsplit("/", 1)[0]}/camera_info')
            name = base.rsplit('/', 1)[0].strip('/').replace('/', '_') or 'camera'
            pose = tree.find(str(info.header.frame_id), lidar_frame) if info is not None else None
            if info is None or pose is None:
                lacks = 'CameraInfo' if info is None else f'transform from {lidar_frame} to {info.header.frame_id}'
                logger.warning('bag %s: images of %s are left out, there is no %s', self.path, topic, lacks)
            elif base not in cameras:
                rectified = 'rect' in base.rsplit('/', 1)[1]
                cameras[topic] = camera_from_info(info, pose, name, rectified)
        return cameras

    def _view(self, connection: Any, message: Any) -> CameraView:
        image = decode_image(message) if connection.msgtype == IMAGE else decode_compressed(message)
        camera = self._cameras[connection.topic]
        if image.shape[:2] != (camera.height, camera.width):
            raise InputError(f'bag {self.path}: images of {connection.topic} are {image.shape[1]} x {image.shape[0]}, '
                             f'its CameraInfo says {camera.width} x {camera.height}; record that of the same topic')
        stamp = message.header.stamp
        return CameraView(camera, image, int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec))

    @staticmethod
    def _complete(cloud: PointCloud, views: dict[str, list[CameraView]], recorded_ns: int) -> bool:
        if recorded_ns > cloud.stamp_ns + 4 * MAX_IMAGE_AGE_NS:
            return True
        return all(found and found[-1].stamp_ns >= _middle(cloud) + MAX_IMAGE_AGE_NS for found in views.values())

    @staticmethod
    def _frame(cloud: PointCloud, views: dict[str, list[CameraView]]) -> Frame:
        """The image of each camera nearest to the middle of the sweep; ones too old for any later sweep are dropped."""
        chosen = []
        middle = _middle(cloud)
        for found in views.values():
            near = min(found, key=lambda view: abs(view.stamp_ns - middle), default=None)
            if near is not None and abs(near.stamp_ns - middle) <= MAX_IMAGE_AGE_NS:
                chosen.append(near)
            found[:] = [view for view in found if view.stamp_ns > cloud.stamp_ns - MAX_IMAGE_AGE_NS]
        return Frame(cloud, tuple(chosen))


@contextmanager
def open_bag(path: Path) -> Iterator[Any]:
    """A bag (its folder or file) as an open ``rosbags`` AnyReader. Raises InputError when it cannot be read."""
    try:
        from rosbags.highlevel import AnyReader, AnyReaderError

        from sam2amml_core.io.bag_messages import typestore
    except ImportError as error:
        raise InputError(f'bag {path} needs the rosbags library: pip install rosbags') from error
    folder = path.parent if path.is_file() and (path.parent / 'metadata.yaml').is_file() else path
    try:
        reader = AnyReader([folder], default_typestore=typestore())
        reader.open()
    except (AnyReaderError, OSError, ValueError, KeyError) as error:
        raise InputError(f'bag {path} cannot be read: {error}; it may be truncated, record or copy it again') from error
    try:
        yield reader
    finally:
        reader.close()


def _middle(cloud: PointCloud) -> int:
    """The time half-way through the sweep, ns; its stamp when the points carry no time."""
    return cloud.stamp_ns + sweep_duration_ns(cloud) // 2


def suggest_model(cloud: PointCloud) -> str:
    """The shipped model for an unknown LiDAR: 'street32' up to 40 beams, or up to 60,000 points without rings."""
    if cloud.ring is not None and len(cloud):
        return 'street32' if int(cloud.ring.max()) < 40 else 'street64'
    return 'street32' if len(cloud) <= 60_000 else 'street64'


def _choose(path: Path, counts: dict[str, int], topic: str | None) -> str:
    if not counts:
        raise InputError(f"bag {path} holds no PointCloud2 topic; record the LiDAR's topic too")
    if topic is None:
        topic = '/lidar/points' if '/lidar/points' in counts else min(counts) if len(counts) == 1 else None
    if topic not in counts:
        named = f'has no cloud topic {topic}' if topic else 'holds several cloud topics'
        raise InputError(f'bag {path} {named} ({", ".join(sorted(counts))}); name one of them')
    return topic
