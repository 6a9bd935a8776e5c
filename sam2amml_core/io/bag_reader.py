"""Frames out of a ROS 2 bag (mcap or sqlite3), without ROS: each sweep with the nearest image of each camera."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sam2amml_core.errors import InputError
from sam2amml_core.frame import Camera, CameraView, Frame
from sam2amml_core.geometry.camera_info import camera_from_info
from sam2amml_core.geometry.transform_tree import TransformTree
from sam2amml_core.io.bag_writer import sweep_duration_ns
from sam2amml_core.io.cdr import read_stamp
from sam2amml_core.io.images import decode_compressed, decode_image
from sam2amml_core.io.pointcloud2 import decode

logger = logging.getLogger(__name__)

CLOUD, IMAGE, COMPRESSED = 'sensor_msgs/msg/PointCloud2', 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
CAMERA_INFO, TRANSFORM, TF = 'sensor_msgs/msg/CameraInfo', 'geometry_msgs/msg/TransformStamped', 'tf2_msgs/msg/TFMessage'

MAX_APART_NS = 120_000_000
"""An image further than this from the middle of a sweep does not belong to it."""


@dataclass
class CameraTopics:
    """One camera of a bag, and the images that may still be paired."""

    name: str
    image: Any
    info: Any
    camera: Camera | None = None
    recent: deque[tuple[int, bytes]] = field(default_factory=lambda: deque(maxlen=12))

    def nearest(self, stamp_ns: int) -> tuple[int, bytes] | None:
        """(stamp, serialised image) closest to a time, if close enough."""
        found = min(self.recent, key=lambda item: abs(item[0] - stamp_ns), default=None)
        return found if found is not None and abs(found[0] - stamp_ns) <= MAX_APART_NS else None

    def passed(self, stamp_ns: int) -> bool:
        """No image to come can be nearer."""
        return bool(self.recent) and self.recent[-1][0] >= stamp_ns


def is_bag(path: str | Path) -> bool:
    """A ROS 2 bag folder, or an .mcap or .db3 file."""
    path = Path(path)
    if path.is_dir():
        return (path / 'metadata.yaml').is_file() and any(f.suffix in ('.mcap', '.db3') for f in path.iterdir())
    return path.suffix in ('.mcap', '.db3')


@contextmanager
def open_bag(path: str | Path) -> Iterator[Any]:
    """A ``rosbags`` AnyReader. Raises InputError for what is missing, not a bag, or damaged, also while reading."""
    from rosbags.highlevel import AnyReader
    from rosbags.highlevel.anyreader import AnyReaderError
    from rosbags.rosbag2.errors import ReaderError

    try:
        with AnyReader([Path(path)], default_typestore=_default_typestore()) as reader:
            yield reader
    except FileNotFoundError:
        raise InputError(f'bag {path} is missing') from None
    except (AnyReaderError, ReaderError, OSError) as error:
        raise InputError(f'bag {path} cannot be read ({error}); record it again, or repair it with the mcap tool') from error


def read_frames(path: str | Path, cloud_topic: str | None = None) -> Iterator[Frame]:
    """Yield each readable sweep of a bag with the image nearest to its middle from each calibrated camera.

    cloud_topic   which PointCloud2 topic; by default the one with most messages

    A camera is an image topic with a ``camera_info`` beside it and a fixed transform to the cloud's frame, from
    ``/tf_static`` or an ``extrinsics`` topic; cameras without are left out and a warning says so, as are sweeps that
    cannot be decoded. Raises InputError when the bag or its clouds cannot be read.
    """
    with open_bag(path) as reader:
        clouds = choose_cloud(reader, path, cloud_topic)
        tree = _static_transforms(reader)
        cameras = _find_cameras(reader)
        yield from _pair(reader, path, clouds, cameras, tree)


def choose_cloud(reader: Any, path: str | Path, topic: str | None = None) -> Any:
    """The PointCloud2 connection of an open bag, by topic or with most messages. Raises InputError naming the topics."""
    clouds = [c for c in reader.connections if c.msgtype == CLOUD and topic in (None, c.topic)]
    if not clouds:
        listed = ', '.join(sorted(f'{c.topic} ({c.msgtype})' for c in reader.connections)) or 'none'
        raise InputError(f'bag {path} has no PointCloud2 topic{f" {topic}" if topic else ""}; its topics: {listed}')
    return max(clouds, key=lambda c: c.msgcount)


def _pair(reader: Any, path: str | Path, clouds: Any, cameras: dict[int, CameraTopics], tree: TransformTree
          ) -> Iterator[Frame]:
    pending: deque[tuple[Any, int]] = deque()  # cloud, middle of the sweep
    wanted = [c for c in reader.connections if c.id == clouds.id or c.id in cameras]
    found = 0
    for connection, logged_ns, raw in reader.messages(connections=wanted):
        if connection.id in cameras:
            cameras[connection.id].recent.append((read_stamp(raw), bytes(raw)))
        else:
            try:
                cloud = decode(reader.deserialize(raw, connection.msgtype))
            except InputError as error:
                logger.warning('%s: sweep at %.3f s left out: %s', path, logged_ns * 1e-9, error)
                continue
            _calibrate(cameras, tree, cloud.frame_id)
            pending.append((cloud, cloud.stamp_ns + sweep_duration_ns(cloud) // 2))
        while pending and _complete(pending[0][1], logged_ns, cameras):
            found += 1
            yield _frame(reader, *pending.popleft(), cameras)
    for cloud, middle in pending:
        found += 1
        yield _frame(reader, cloud, middle, cameras)
    if not found:
        raise InputError(f'bag {path}: no sweep of {clouds.topic} can be read; the warnings above say why')


def _complete(middle_ns: int, now_ns: int, cameras: dict[int, CameraTopics]) -> bool:
    late = now_ns > middle_ns + 2 * MAX_APART_NS
    return late or all(camera.passed(middle_ns) for camera in cameras.values() if camera.camera is not None)


def _frame(reader: Any, cloud: Any, middle_ns: int, cameras: dict[int, CameraTopics]) -> Frame:
    views = []
    for camera in cameras.values():
        nearest = camera.nearest(middle_ns) if camera.camera is not None else None
        if nearest is None or camera.camera is None:
            continue
        message = reader.deserialize(nearest[1], camera.image.msgtype)
        try:
            image = decode_compressed(message) if camera.image.msgtype == COMPRESSED else decode_image(message)
        except InputError as error:
            logger.warning('camera %s: image left out: %s', camera.name, error)
            continue
        views.append(CameraView(camera.camera, image, nearest[0]))
    return Frame(cloud, tuple(views))


def _find_cameras(reader: Any) -> dict[int, CameraTopics]:
    """Cameras by the id of their image connection; a raw topic is preferred to its compressed twin."""
    infos = {c.topic.rsplit('/', 1)[0]: c for c in reader.connections if c.msgtype == CAMERA_INFO}
    found: dict[str, CameraTopics] = {}
    for connection in sorted(reader.connections, key=lambda c: c.msgtype == COMPRESSED):
        if connection.msgtype not in (IMAGE, COMPRESSED):
            continue
        space = next((s for s in sorted(infos, key=len, reverse=True) if connection.topic.startswith(f'{s}/')), None)
        if space is None:
            logger.warning('image topic %s has no camera_info beside it; left out', connection.topic)
        elif space not in found:
            message = next((raw for _, _, raw in reader.messages(connections=[infos[space]])), None)
            if message is not None:
                info = reader.deserialize(message, CAMERA_INFO)
                found[space] = CameraTopics(space.strip('/').split('/')[-1] or 'camera', connection, info)
    return {camera.image.id: camera for camera in found.values()}


def _calibrate(cameras: dict[int, CameraTopics], tree: TransformTree, lidar_frame: str) -> None:
    """Give each camera its calibration; those that have none are dropped with a warning."""
    for key, camera in list(cameras.items()):
        if camera.camera is not None:
            continue
        try:
            pose = tree.look_up(camera.info.header.frame_id, lidar_frame)
            rectified = 'rect' in camera.image.topic.rsplit('/', 2)[-1]
            camera.camera = camera_from_info(camera.info, pose, camera.name, rectified)
        except InputError as error:
            logger.warning('camera %s left out: %s', camera.name, error)
            del cameras[key]


def _static_transforms(reader: Any) -> TransformTree:
    tree = TransformTree()
    wanted = [c for c in reader.connections if c.msgtype == TRANSFORM or (c.msgtype == TF and 'static' in c.topic)]
    for connection, _, raw in reader.messages(connections=wanted) if wanted else ():
        message = reader.deserialize(raw, connection.msgtype)
        for entry in message.transforms if connection.msgtype == TF else (message,):
            tree.add_stamped(entry)
    return tree


def _default_typestore() -> Any:
    from sam2amml_core.io.bag_messages import typestore

    return typestore()


