"""A street under construction: places things on its ground, each in free space and each with its instance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from training.world.ground import REACH, Ground
from training.world.materials import Palette
from training.world.mesh import Mesh
from training.world.occupancy import ALL, LOW, Occupancy
from training.world.road import Course

Maker = Callable[[], tuple[Mesh, tuple[float, float, float]]]


class Site:
    """Ground, taken space, and what has been put there so far."""

    def __init__(self, rng: np.random.Generator, palette: Palette, ground: Ground) -> None:
        self.rng, self.palette, self.ground = rng, palette, ground
        corners = ground.course.plan(ground.s[:, None], np.array([-REACH, REACH])[None, :]).reshape(-1, 2)
        self.occupancy = Occupancy(corners.min(0), corners.max(0))
        self.items: list[tuple[Mesh, int]] = []
        self.parked: list[tuple[Mesh, int, np.ndarray]] = []  # mesh in its own frame, instance, pose
        self._instances = 0

    @property
    def course(self) -> Course:
        """The road's course."""
        return self.ground.course

    def new_instance(self) -> int:
        """A fresh instance id."""
        self._instances += 1
        return self._instances

    def footprint(self, s: float, t: float, yaw: float) -> tuple[np.ndarray, float]:
        """World x, y and heading of a thing at (s, t) turned by ``yaw`` from the road's direction."""
        return self.course.plan(s, t), float(self.course.heading(s)) + yaw

    def add(self, mesh: Mesh, s: float, t: float, yaw: float = 0.0, z: float | None = None, instance: int = 0) -> None:
        """Put a mesh down at (s, t) without asking whether the place is free."""
        center, heading = self.footprint(s, t, yaw)
        height = self.ground.height(s, t) if z is None else z
        self.items.append((mesh.moved((center[0], center[1], height), heading), instance))

    def place(
        self,
        mesh: Mesh,
        s: float,
        t: float,
        length: float,
        width: float,
        yaw: float = 0.0,
        layers: int = ALL,
        z: float | None = None,
        shift: float = 0.0,
    ) -> bool:
        """Put a mesh down if its footprint, ``shift`` metres along the mesh's y from its origin, is free."""
        center, heading = self.footprint(s, t, yaw)
        middle = center + shift * np.array([-np.sin(heading), np.cos(heading)])
        if not self.occupancy.claim(middle, heading, length, width, layers):
            return False
        self.add(mesh, s, t, yaw, z)
        return True

    def park(self, maker: Maker, s: float, t: float, yaw: float = 0.0, high: bool = False) -> bool:
        """Put a vehicle, a cycle or a person on its wheels or feet, with an instance of its own, if there is room."""
        mesh, (length, width, _) = maker()
        center, heading = self.footprint(s, t, yaw)
        if not self.occupancy.claim(center, heading, length + 0.3, width + 0.16, ALL if high else LOW):
            return False
        T = self.resting_pose(s, t, yaw, length, width)
        instance = self.new_instance()
        self.items.append((mesh.transformed(T), instance))
        self.parked.append((mesh, instance, T))
        return True

    def resting_pose(self, s: float, t: float, yaw: float, length: float, width: float) -> np.ndarray:
        """4x4 pose of a body whose four wheels stand on the ground at (s, t)."""
        c, n = np.cos(yaw), np.sin(yaw)
        a, b = length * 0.3, width * 0.4
        contact = np.array([[s + u * c - v * n, t + u * n + v * c] for u in (-a, a) for v in (-b, b)])
        z = np.array([self.ground.height(*p) for p in contact])
        rise, bank = (z[2] + z[3] - z[0] - z[1]) / (4 * a), (z[1] + z[3] - z[0] - z[2]) / (4 * b)
        center, heading = self.footprint(s, t, yaw)
        forward = np.array([np.cos(heading), np.sin(heading), rise])
        left = np.array([-np.sin(heading), np.cos(heading), bank])
        up = np.cross(forward, left)
        forward /= np.linalg.norm(forward)
        up /= np.linalg.norm(up)
        T = np.eye(4)
        T[:3, :3] = np.stack([forward, np.cross(up, forward), up], 1)
        T[:3, 3] = [center[0], center[1], z.mean()]
        return T
