"""Frames as ROS 2 messages of the ``rosbags`` library: what a bag of ours holds, topic by topic. No ROS needed."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np

from sam2amml_core.frame import Camera, CameraView, Distortion, PointCloud
from sam2amml_core.geometry.transforms import compose, invert, matrix_to_quaternion, transform

CLOUD_TOPIC = '/lidar/points'
ODOMETRY_TOPIC = '/odometry'
TF_STATIC_TOPIC = '/tf_static'
WORLD_FRAME = 'odom'


def image_topic(camera: str) -> str:
    return f'/{camera}/image'


def compressed_topic(camera: str) -> str:
    return f'/{camera}/image/compressed'


def camera_info_topic(camera: str) -> str:
    return f'/{camera}/camera_info'


def extrinsics_topic(camera: str) -> str:
    return f'/{camera}/extrinsics'


def optical_frame(camera: str) -> str:
    return f'{camera}_optical'


def sweep_duration_ns(cloud: PointCloud) -> int:
    """From the stamp to the last measured point; 0 without per-point time."""
    if cloud.time is None or not len(cloud):
        return 0
    last = float(np.fmax.reduce(cloud.time, initial=0.0))
    return max(0, round(last * 1e9)) if np.isfinite(last) else 0


@cache
def typestore() -> Any:
    """The message types of ROS 2 Jazzy, which Kilted and later read as they are."""
    from rosbags.typesys import Stores, get_typestore

    return get_typestore(Stores.ROS2_JAZZY)


@cache
def _types() -> SimpleNamespace:
    """Message classes by their short name."""
    return SimpleNamespace(**{name.rsplit('/', 1)[1]: kind for name, kind in typestore().types.items()
                              if name.split('/')[0] in ('std_msgs', 'sensor_msgs', 'geometry_msgs', 'nav_msgs',
                                                        'builtin_interfaces', 'tf2_msgs')})


def header(stamp_ns: int, frame_id: str) -> Any:
    m = _types()
    return m.Header(stamp=m.Time(sec=stamp_ns // 1_000_000_000, nanosec=stamp_ns % 1_000_000_000), frame_id=frame_id)


def cloud_message(cloud: PointCloud) -> Any:
    """PointCloud2 with x, y, z, intensity and, where the cloud has them, ring and time (aligned to 4 bytes)."""
    m = _types()
    columns: list[tuple[str, np.ndarray, str, int]] = [
        *((axis, cloud.xyz[:, i], '<f4', 7) for i, axis in enumerate('xyz')), ('intensity', cloud.intensity, '<f4', 7)]
    if cloud.ring is not None:
        columns.append(('ring', cloud.ring, '<u2', 4))
    if cloud.time is not None:
        columns.append(('time', cloud.time, '<f4', 7))
    step = 4 * len(columns)
    dtype = np.dtype({'names': [c[0] for c in columns], 'formats': [c[2] for c in columns],
                      'offsets': [4 * i for i in range(len(columns))], 'itemsize': step})
    points = np.zeros(len(cloud), dtype)
    for name, values, _, _ in columns:
        points[name] = values
    fields = [m.PointField(name=name, offset=4 * i, datatype=kind, count=1)
              for i, (name, _, _, kind) in enumerate(columns)]
    return m.PointCloud2(header=header(cloud.stamp_ns, cloud.frame_id), height=1, width=len(cloud), fields=fields,
                         is_bigendian=False, point_step=step, row_step=step * len(cloud), data=points.view(np.uint8),
                         is_dense=bool(np.isfinite(cloud.xyz).all()))


def image_message(view: CameraView) -> Any:
    """Image, rgb8."""
    height, width = view.image.shape[:2]
    return _types().Image(header=header(view.stamp_ns, optical_frame(view.camera.name)), height=height, width=width,
                          encoding='rgb8', is_bigendian=0, step=3 * width,
                          data=np.ascontiguousarray(view.image).reshape(-1))


def compressed_message(view: CameraView, quality: int = 92) -> Any:
    """CompressedImage, JPEG, named as image_transport names it."""
    _, data = cv2.imencode('.jpg', cv2.cvtColor(view.image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return _types().CompressedImage(header=header(view.stamp_ns, optical_frame(view.camera.name)),
                                    format='rgb8; jpeg compressed bgr8', data=data)


def camera_info_message(camera: Camera, stamp_ns: int) -> Any:
    """CameraInfo of an image, rectified or with its lens model.

    A stereo offset in the projection goes into ``extrinsics`` instead: see there.
    """
    m = _types()
    K = camera.projection[:, :3]
    lens = camera.distortion or Distortion('plumb_bob', (0.0,) * 5)
    return m.CameraInfo(
        header=header(stamp_ns, optical_frame(camera.name)), height=camera.height, width=camera.width,
        distortion_model=lens.model, d=np.array(lens.coefficients, np.float64), k=K.reshape(-1).astype(np.float64),
        r=np.eye(3).reshape(-1), p=np.concatenate((K, np.zeros((3, 1))), axis=1).reshape(-1), binning_x=0, binning_y=0,
        roi=m.RegionOfInterest(x_offset=0, y_offset=0, height=0, width=0, do_rectify=False))


def extrinsics(camera: Camera) -> np.ndarray:
    """T_camera_lidar [4, 4] to go with a pinhole matrix K alone.

    A projection ``[K | p]`` with ``p != 0`` (KITTI's P2) is ``K [I | K^-1 p]``: the offset moves into the transform,
    so that camera info and transform together say the same in the standard way.
    """
    offset = np.linalg.solve(camera.projection[:, :3], camera.projection[:, 3])
    return compose(transform(np.eye(3), offset), camera.T_camera_lidar)


def extrinsics_message(camera: Camera, lidar_frame: str, stamp_ns: int) -> Any:
    """TransformStamped from the LiDAR (parent) to the camera's optical frame (child), as TF has it."""
    return _transform_message(lidar_frame, optical_frame(camera.name), invert(extrinsics(camera)), stamp_ns)


def tf_static_message(cameras: tuple[Camera, ...], lidar_frame: str, stamp_ns: int) -> Any:
    return _types().TFMessage(transforms=[extrinsics_message(camera, lidar_frame, stamp_ns) for camera in cameras])


def odometry_message(T_world_lidar: np.ndarray, stamp_ns: int, lidar_frame: str,
                     T_world_later: np.ndarray | None = None, later_s: float = 0.1) -> Any:
    """Odometry: the LiDAR's pose, and its velocity towards the pose ``later_s`` seconds later.

    Without a later pose the twist is zero and its first covariance -1, the convention for unknown.
    """
    m = _types()
    pose = m.PoseWithCovariance(pose=_pose(T_world_lidar), covariance=np.zeros(36))
    covariance = np.zeros(36)
    linear: np.ndarray = np.zeros(3)
    angular: np.ndarray = np.zeros(3)
    if T_world_later is None:
        covariance[0] = -1.0
    else:
        step = compose(invert(T_world_lidar), T_world_later)
        linear = step[:3, 3] / later_s
        angular = cv2.Rodrigues(step[:3, :3])[0].ravel() / later_s
    twist = m.Twist(linear=m.Vector3(*linear.tolist()), angular=m.Vector3(*angular.tolist()))
    return m.Odometry(header=header(stamp_ns, WORLD_FRAME), child_frame_id=lidar_frame, pose=pose,
                      twist=m.TwistWithCovariance(twist=twist, covariance=covariance))


def _pose(T: np.ndarray) -> Any:
    m = _types()
    return m.Pose(position=m.Point(*T[:3, 3].tolist()), orientation=m.Quaternion(*matrix_to_quaternion(T).tolist()))


def _transform_message(parent: str, child: str, T_parent_child: np.ndarray, stamp_ns: int) -> Any:
    m = _types()
    return m.TransformStamped(header=header(stamp_ns, parent), child_frame_id=child, transform=m.Transform(
        translation=m.Vector3(*T_parent_child[:3, 3].tolist()),
        rotation=m.Quaternion(*matrix_to_quaternion(T_parent_child).tolist())))
