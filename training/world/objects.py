"""Vehicles, cycles and people of a street as upright boxes with poses: the truth of 3D detection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from training.world.mesh import Mesh
from training.world.scene import Actor, Material


@dataclass(frozen=True, eq=False)
class WorldObject:
    """One thing with an instance id.

    class_id  world class id
    centre    float64 [3], of its box in its own frame (x forwards, origin on the ground), metres
    size      float64 [3], length, width, height of its box, metres
    pose      seconds -> T_world_object, float64 [4, 4]
    speed     m/s along its x axis; 0 for what stands
    """

    instance: int
    class_id: int
    centre: np.ndarray
    size: np.ndarray
    pose: Callable[[float], np.ndarray]
    speed: float = 0.0

    @property
    def moving(self) -> bool:
        """Whether it moves during the recording."""
        return self.speed > 0

    def box(self, t: float) -> np.ndarray:
        """Pose of the box's centre at ``t`` seconds, T_world_box, float64 [4, 4]."""
        T = self.pose(t).copy()
        T[:3, 3] += T[:3, :3] @ self.centre
        return T

    def contains(self, points: np.ndarray, t: float, margin: float = 0.0) -> np.ndarray:
        """bool [N]: world points [N, 3] inside the box at ``t`` seconds, grown by ``margin`` metres all round."""
        T = self.box(t)
        return (np.abs((points - T[:3, 3]) @ T[:3, :3]) <= self.size / 2 + margin).all(axis=1)


def standing_object(mesh: Mesh, instance: int, T_world_object: np.ndarray,
                    materials: Sequence[Material]) -> WorldObject:
    """What was put down at ``T_world_object`` for good; ``mesh`` in its own frame."""
    centre, size = _bounds(mesh)
    return WorldObject(instance, _class(mesh, materials), centre, size, lambda _: T_world_object)


def moving_object(actor: Actor, materials: Sequence[Material]) -> WorldObject:
    """What moves."""
    mesh = actor.traced.mesh
    centre, size = _bounds(mesh)
    speed = float(np.linalg.norm(actor.motion(0.0)[1]))
    return WorldObject(actor.instance, _class(mesh, materials), centre, size, actor.pose, speed)


def _bounds(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    low, high = mesh.vertices.min(0).astype(np.float64), mesh.vertices.max(0).astype(np.float64)
    return (low + high) / 2, high - low


def _class(mesh: Mesh, materials: Sequence[Material]) -> int:
    """The class of most faces."""
    classes = np.array([m.class_id for m in materials])
    return int(np.bincount(classes[mesh.material]).argmax())
