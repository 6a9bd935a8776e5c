"""Transforms between sensors, and how the vehicle moves, as the node hears them.

Fixed ones come on ``~/input/<camera>/extrinsics`` and, where tf2_msgs is installed, on ``/tf_static``. Motion comes as
``nav_msgs/Odometry`` on ``~/input/odometry`` and, where tf2_msgs is installed, on ``/tf`` from the fixed frame to its
child. Nothing here ever waits: a look-up uses what has come.
"""

from __future__ import annotations

import importlib.util
import threading
from typing import Any

import numpy as np
from geometry_msgs.msg import TransformStamped
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from sam2amml_core.errors import InputError
from sam2amml_core.geometry.motion import MountedPoses, PoseBuffer
from sam2amml_core.geometry.transforms import quaternion_to_matrix, transform
from sam2amml_core.io.frame_tree import FrameTree

LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
UNKNOWN_COVARIANCE = -1.0
"""First covariance of a twist that says nothing, by convention."""

MAX_BODIES = 16
"""Frames whose odometry is kept; more are a mistake of the sender."""


class Transforms:
    """The tree of fixed transforms and the poses of the moving body. Thread-safe."""

    def __init__(self, fixed_frame: str = 'odom') -> None:
        self._fixed_frame = fixed_frame.lstrip('/')
        self._tree = FrameTree()
        self._lock = threading.Lock()
        self._bodies: dict[str, PoseBuffer] = {}
        self.revision = 0

    def subscribe(self, node: Node, cameras: tuple[str, ...]) -> list[Any]:
        """The subscriptions, for their owner to destroy; extrinsics of the cameras named."""
        made = [node.create_subscription(TransformStamped, f'~/input/{name}/extrinsics', self.add_fixed, LATCHED)
                for name in cameras]
        made.append(node.create_subscription(Odometry, '~/input/odometry', self.add_odometry, QoSProfile(
            depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)))
        if importlib.util.find_spec('tf2_msgs') is not None:
            from tf2_msgs.msg import TFMessage

            latched = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE,
                                 durability=DurabilityPolicy.TRANSIENT_LOCAL)
            made.append(node.create_subscription(TFMessage, '/tf_static', self.add_static_tf, latched))
            made.append(node.create_subscription(TFMessage, '/tf', self.add_tf, QoSProfile(depth=100)))
        return made

    def find(self, target: str, source: str) -> np.ndarray | None:
        """T_target_source, or None while nothing connects them."""
        with self._lock:
            return self._tree.find(target, source)

    def motion(self, lidar_frame: str) -> MountedPoses | None:
        """How the LiDAR moves, or None while there is no odometry of a body it is connected to."""
        with self._lock:
            for frame, poses in self._bodies.items():
                T_body_lidar = self._tree.find(frame, lidar_frame)
                if T_body_lidar is not None and len(poses):
                    return MountedPoses(poses, T_body_lidar)
        return None

    def add_fixed(self, message: Any) -> None:
        """A TransformStamped that does not change."""
        with self._lock:
            try:
                self._tree.add(message)
            except InputError:
                return  # a rotation of length 0: as good as none, the look-up will say what is missing
            self.revision += 1

    def add_static_tf(self, message: Any) -> None:
        for entry in message.transforms:
            self.add_fixed(entry)

    def add_tf(self, message: Any) -> None:
        """Of a TFMessage those transforms that lead from the fixed frame to a body."""
        for entry in message.transforms:
            if entry.header.frame_id.lstrip('/') == self._fixed_frame:
                move, turn = entry.transform.translation, entry.transform.rotation
                self._add_pose(entry.header.stamp, entry.child_frame_id, move, turn, None)

    def add_odometry(self, message: Any) -> None:
        """An Odometry: pose and, unless its covariance says it is unknown, velocity of the body."""
        twist = message.twist.twist
        known = message.twist.covariance[0] != UNKNOWN_COVARIANCE
        velocity = np.array([twist.linear.x, twist.linear.y, twist.linear.z,
                             twist.angular.x, twist.angular.y, twist.angular.z]) if known else None
        pose = message.pose.pose
        self._add_pose(message.header.stamp, message.child_frame_id, pose.position, pose.orientation, velocity)

    def _add_pose(self, stamp: Any, body: str, move: Any, turn: Any, velocity: np.ndarray | None) -> None:
        try:
            pose = transform(quaternion_to_matrix(np.array([turn.x, turn.y, turn.z, turn.w])),
                             np.array([move.x, move.y, move.z]))
        except InputError:
            return
        if not np.isfinite(pose).all() or (velocity is not None and not np.isfinite(velocity).all()):
            return
        with self._lock:
            if len(self._bodies) >= MAX_BODIES and body.lstrip('/') not in self._bodies:
                return
            poses = self._bodies.setdefault(body.lstrip('/'), PoseBuffer())
            poses.add(int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec), pose, velocity)
