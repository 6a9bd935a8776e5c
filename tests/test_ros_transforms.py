"""Fixed transforms and odometry as the node keeps them; TFMessage as bags have it, since tf2_msgs is no wheel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='the ROS package needs rclpy (extra [ros], or a ROS 2 installation)')
pytest.importorskip('rosbags', reason='bags need the rosbags library (extra [ros])')

from geometry_msgs.msg import TransformStamped
from nav_msgs.msg import Odometry

from sam2amml_core.geometry import twist as se3
from sam2amml_core.geometry.transforms import compose, invert, matrix_to_quaternion
from sam2amml_core.io.bag_messages import typestore
from sam2amml_ros.transforms import MAX_BODIES, Transforms

MS = 1_000_000
EPOCH = 1_700_000_000_000 * MS
TWIST = np.array([12.0, 0.1, 0, 0, 0.01, 0.4])
T_BASE_LIDAR = se3.exp(np.array([1.2, 0, 1.8, 0, 0.02, 0.1]))


def filled(message: Any, pose: np.ndarray, move: Any, turn: Any) -> Any:
    move.x, move.y, move.z = (float(v) for v in pose[:3, 3])
    turn.x, turn.y, turn.z, turn.w = (float(v) for v in matrix_to_quaternion(pose))
    return message


def transform_message(parent: str, child: str, pose: np.ndarray, stamp_ns: int = EPOCH) -> TransformStamped:
    message = TransformStamped(child_frame_id=child)
    message.header.frame_id = parent
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
    return filled(message, pose, message.transform.translation, message.transform.rotation)


def odometry_message(child: str, pose: np.ndarray, stamp_ns: int, twist: np.ndarray | None = None) -> Odometry:
    message = Odometry(child_frame_id=child)
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
    if twist is None:
        message.twist.covariance[0] = -1.0
    else:
        linear, angular = message.twist.twist.linear, message.twist.twist.angular
        (linear.x, linear.y, linear.z), (angular.x, angular.y, angular.z) = twist[:3].tolist(), twist[3:].tolist()
    return filled(message, pose, message.pose.pose.position, message.pose.pose.orientation)


def tf_message(*transforms: TransformStamped) -> Any:
    return typestore().types['tf2_msgs/msg/TFMessage'](transforms=list(transforms))


def path(ms: float) -> np.ndarray:
    return compose(se3.exp(np.array([50.0, 20, 0, 0, 0, 1.0])), se3.exp(TWIST * ms * 1e-3))


def expected(to_ms: float, from_ms: float) -> np.ndarray:
    return compose(invert(compose(path(to_ms), T_BASE_LIDAR)), compose(path(from_ms), T_BASE_LIDAR))


@pytest.mark.parametrize('source', ['odometry', 'odometry without velocity', 'tf'])
def test_the_motion_of_the_lidar_follows_from_that_of_the_vehicle(source: str) -> None:
    transforms = Transforms('odom')
    for ms in (0, 100):
        if source == 'tf':
            transforms.add_tf(tf_message(transform_message('odom', 'base_link', path(ms), EPOCH + ms * MS),
                                         transform_message('map', 'odom', np.eye(4), EPOCH + ms * MS)))
        else:
            twist = None if 'without' in source else TWIST
            transforms.add_odometry(odometry_message('/base_link', path(ms), EPOCH + ms * MS, twist))
    assert transforms.motion('lidar') is None, 'the LiDAR is not connected to the vehicle yet'
    transforms.add_static_tf(tf_message(transform_message('/base_link', 'lidar', T_BASE_LIDAR)))
    motion = transforms.motion('lidar')
    assert motion is not None
    for to_ms, from_ms in ((70, 20), (150, 90)):
        found = motion.relative(EPOCH + to_ms * MS, EPOCH + from_ms * MS)
        assert found is not None
        np.testing.assert_allclose(found, expected(to_ms, from_ms), atol=1e-6)


def test_only_the_fixed_frame_is_odometry_never_the_map() -> None:
    transforms = Transforms('odom')
    transforms.add_static_tf(tf_message(transform_message('base_link', 'lidar', T_BASE_LIDAR)))
    transforms.add_tf(tf_message(transform_message('map', 'base_link', path(0))))
    assert transforms.motion('lidar') is None


def test_fixed_transforms_are_chained_and_each_change_is_noticed() -> None:
    transforms = Transforms()
    transforms.add_static_tf(tf_message(transform_message('base_link', 'lidar', T_BASE_LIDAR)))
    transforms.add_fixed(transform_message('base_link', 'front_optical', path(3)))
    found = transforms.find('front_optical', 'lidar')
    assert found is not None
    np.testing.assert_allclose(found, compose(invert(path(3)), T_BASE_LIDAR), atol=1e-9)
    revision = transforms.revision
    transforms.add_fixed(transform_message('base_link', 'front_optical', path(5)))
    assert transforms.revision == revision + 1


def test_transforms_that_are_none_and_too_many_bodies_do_no_harm() -> None:
    transforms = Transforms()
    zero = transform_message('lidar', 'front_optical', np.eye(4))
    zero.transform.rotation.w = 0.0
    transforms.add_fixed(zero)
    assert transforms.find('front_optical', 'lidar') is None
    bad = odometry_message('lidar', path(0), EPOCH, TWIST)
    bad.pose.pose.position.x = float('nan')
    transforms.add_odometry(bad)
    assert transforms.motion('lidar') is None
    for number in range(100):
        transforms.add_odometry(odometry_message(f'body{number}', path(0), EPOCH, TWIST))
    assert len(transforms._bodies) == MAX_BODIES
