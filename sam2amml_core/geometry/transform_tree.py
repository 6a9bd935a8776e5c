"""Fixed transforms between named frames, as ``/tf_static`` publishes them, without ROS."""

from __future__ import annotations

from collections import deque

import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.geometry.transforms import compose, invert, quaternion_to_matrix, transform


class TransformTree:
    """Edges between frames; a look-up composes those on the path between two of them."""

    def __init__(self) -> None:
        self._edges: dict[str, dict[str, np.ndarray]] = {}

    def add(self, parent: str, child: str, T_parent_child: np.ndarray) -> None:
        """Add or replace an edge: float64 [4, 4], maps points in ``child`` to ``parent``."""
        parent, child = parent.lstrip('/'), child.lstrip('/')
        self._edges.setdefault(parent, {})[child] = T_parent_child
        self._edges.setdefault(child, {})[parent] = invert(T_parent_child)

    def add_stamped(self, message: object) -> None:
        """Add a ``geometry_msgs/TransformStamped``. Raises InputError on a quaternion that is no rotation."""
        parent, child, T_parent_child = read_transform(message)
        self.add(parent, child, T_parent_child)

    def find(self, target: str, source: str) -> np.ndarray | None:
        """T_target_source, or None while no path of edges leads from one frame to the other."""
        target, source = target.lstrip('/'), source.lstrip('/')
        if target == source:
            return np.eye(4)
        reached = {target: np.eye(4)}
        queue = deque([target])
        while queue:
            frame = queue.popleft()
            for neighbour, T_frame_neighbour in self._edges.get(frame, {}).items():
                if neighbour in reached:
                    continue
                reached[neighbour] = compose(reached[frame], T_frame_neighbour)
                if neighbour == source:
                    return reached[neighbour]
                queue.append(neighbour)
        return None

    def look_up(self, target: str, source: str) -> np.ndarray:
        """As ``find``, but raises InputError naming the frames that are known."""
        found = self.find(target, source)
        if found is None:
            raise InputError(f'no transform from {source!r} to {target!r}; known frames: '
                             f'{", ".join(sorted(self._edges)) or "none"}. Publish it or give a calibration file')
        return found


def read_transform(message: object) -> tuple[str, str, np.ndarray]:
    """(parent, child, T_parent_child) of a ``geometry_msgs/TransformStamped`` of rclpy or of a bag."""
    header, pose = message.header, message.transform  # type: ignore[attr-defined]
    q, t = pose.rotation, pose.translation
    rotation = quaternion_to_matrix(np.array([q.x, q.y, q.z, q.w]))
    return header.frame_id, message.child_frame_id, transform(rotation, np.array([t.x, t.y, t.z]))  # type: ignore[attr-defined]
