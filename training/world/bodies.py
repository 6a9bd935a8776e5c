"""Things with instances as their textures know them: position in their own frame, extent, axles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.world.mesh import Mesh

AXLES = 3
_WHEEL_VERTICES = 26  # of ``mesh.wheel``: two rings of twelve and their middles


@dataclass(frozen=True, eq=False)
class Body:
    """A rigid thing; its frame: origin on the ground, x forwards, y left, metres.

    pose   T_world_body where it stands, float64 [4, 4]; None for what moves
    low, high  float64 [3], its extent
    axles  float64 [AXLES, 3]: x, z and radius of the wheels' rims; radius 0 = no such axle
    """

    pose: np.ndarray | None
    low: np.ndarray
    high: np.ndarray
    axles: np.ndarray

    @staticmethod
    def of(mesh: Mesh, rubber: np.ndarray, pose: np.ndarray | None) -> Body:
        """``mesh`` in its own frame, put down at ``pose``; ``rubber`` bool [materials]: what tyres are made of."""
        axles = np.zeros((AXLES, 3))
        found = _wheels(mesh, rubber)[:AXLES]
        axles[: len(found)] = found
        return Body(pose, mesh.vertices.min(0).astype(float), mesh.vertices.max(0).astype(float), axles)


def _wheels(mesh: Mesh, rubber: np.ndarray) -> np.ndarray:
    """x, z and radius [K, 3] of the wheels in ``mesh``, one for each axle."""
    used = np.unique(mesh.faces[rubber[mesh.material]])
    groups = mesh.vertices[used[len(used) % _WHEEL_VERTICES :]].reshape(-1, _WHEEL_VERTICES, 3)
    size = np.ptp(groups, axis=1)
    round_ = (size[:, 0] > 0.3) & (np.abs(size[:, 0] - size[:, 2]) < 0.02) & (size[:, 1] < 0.4)
    wheels = np.stack([groups[:, :, 0].mean(1), groups[:, :, 2].mean(1), size[:, 0] / 2], 1)[round_]
    return wheels[np.unique(np.round(wheels[:, 0], 2), return_index=True)[1]]


class BodyTable:
    """The bodies of a scene, to be looked up by arrays of instance ids."""

    def __init__(self, bodies: dict[int, Body], moving: Sequence[tuple[int, np.ndarray]]) -> None:
        """``moving`` holds the instances of what moves and their poses at the time of the picture."""
        count = max([0, *bodies, *(i for i, _ in moving)]) + 1
        self._turn = np.tile(np.eye(3, dtype=np.float32), (count, 1, 1))  # columns: the body's axes in the world
        self._still = np.tile(np.eye(3, dtype=np.float32), (count, 1, 1))
        self._place = np.zeros((count, 3), np.float32)
        self.low, self.high = np.zeros((count, 3), np.float32), np.ones((count, 3), np.float32)
        self.axles = np.zeros((count, AXLES, 3), np.float32)
        for i, body in bodies.items():
            self.low[i], self.high[i], self.axles[i] = body.low, body.high, body.axles
            if body.pose is not None:
                self._turn[i] = self._still[i] = body.pose[:3, :3]
                self._place[i] = body.pose[:3, 3]
        for i, pose in moving:
            self._turn[i] = pose[:3, :3]  # positions of what moves are in its own frame already, normals are not

    def own_frame(self, instance: np.ndarray, local: np.ndarray, normal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions and normals float32 [N, 3] in the frames of the bodies ``instance`` [N] they are on, if known."""
        instance = np.where(instance < len(self._place), instance, 0)
        moved = np.einsum('nij,ni->nj', self._still[instance], local - self._place[instance])
        return moved, np.einsum('nij,ni->nj', self._turn[instance], normal)
