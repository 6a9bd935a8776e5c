"""Static transforms between named frames, as ``/tf_static`` publishes them."""

from __future__ import annotations

from typing import Any

import numpy as np

from sam2amml_core.geometry.transforms import compose, invert, quaternion_to_matrix, transform


class FrameTree:
    """A graph of frames; ``find(a, b)`` is T_a_b along the transforms added so far."""

    def __init__(self) -> None:
        self._edges: dict[str, dict[str, np.ndarray]] = {}

    def add(self, message: Any) -> None:
        """Add a ``geometry_msgs/TransformStamped``: pose of its child frame in its parent frame."""
        move, turn = message.transform.translation, message.transform.rotation
        pose = transform(quaternion_to_matrix(np.array([turn.x, turn.y, turn.z, turn.w])),
                         np.array([move.x, move.y, move.z]))
        parent, child = (str(name).lstrip('/') for name in (message.header.frame_id, message.child_frame_id))
        self._edges.setdefault(parent, {})[child] = pose
        self._edges.setdefault(child, {})[parent] = invert(pose)

    def find(self, target: str, source: str) -> np.ndarray | None:
        """T_target_source float64 [4, 4], or None when nothing connects them."""
        target, source = target.lstrip('/'), source.lstrip('/')
        reached = {target: np.eye(4)}
        frontier = [target]
        while frontier and source not in reached:
            frame = frontier.pop()
            for neighbour, pose in self._edges.get(frame, {}).items():
                if neighbour not in reached:
                    reached[neighbour] = compose(reached[frame], pose)
                    frontier.append(neighbour)
        return reached.get(source)
