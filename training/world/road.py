"""The road's course: along-road coordinates (s along, t to the left) and the world's x, y, z."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Course:
    """A gently winding, rising and falling centre line y = f(x), z = h(x), with x called s."""

    swing: tuple[tuple[float, float, float], ...]  # (amplitude m, wave number 1/m, phase) of f
    climb: tuple[tuple[float, float, float], ...]  # of h

    @staticmethod
    def draw(rng: np.random.Generator, bend: float, grade: float) -> Course:
        """A random course swinging up to ``bend`` metres sideways, its steepest rise about ``grade``."""
        swing, climb = [], []
        for share in (0.7, 0.3):
            k = 2 * np.pi / rng.uniform(120, 260) * (1 if share > 0.5 else 1.7)
            swing.append((share * bend, float(k), float(rng.uniform(0, 6.3))))
            climb.append((float(share * grade / k * rng.uniform(0.3, 1)), float(k), float(rng.uniform(0, 6.3))))
        return Course(tuple(swing), tuple(climb))

    @staticmethod
    def _sum(waves: tuple[tuple[float, float, float], ...], s: ArrayLike, derivative: bool = False) -> np.ndarray:
        s = np.asarray(s, float)
        total = np.zeros_like(s)
        for a, k, p in waves:
            total = total + (a * k * np.cos(k * s + p) if derivative else a * np.sin(k * s + p))
        return total

    def heading(self, s: ArrayLike) -> np.ndarray:
        """Direction of travel, radians from world x."""
        return np.arctan(self._sum(self.swing, s, True))

    def slope(self, s: ArrayLike) -> np.ndarray:
        """Rise per metre."""
        return self._sum(self.climb, s, True)

    def elevation(self, s: ArrayLike) -> np.ndarray:
        """z of the centre line, metres."""
        return self._sum(self.climb, s)

    def plan(self, s: ArrayLike, t: ArrayLike) -> np.ndarray:
        """World x, y [..., 2] of road coordinates."""
        s, t = np.asarray(s, float), np.asarray(t, float)
        heading = self.heading(s)
        return np.stack([s - t * np.sin(heading), self._sum(self.swing, s) + t * np.cos(heading)], -1)

    def pose(self, s: float, t: float, height: float = 0.0, yaw: float = 0.0) -> np.ndarray:
        """4x4 pose on the road plane at (s, t), x along the road, turned by ``yaw``, raised by ``height``."""
        heading = float(self.heading(s)) + yaw
        pitch = -np.arctan(float(self.slope(s)) * np.cos(yaw))
        cy, sy, cp, sp = np.cos(heading), np.sin(heading), np.cos(pitch), np.sin(pitch)
        rotation = np.array([[cy * cp, -sy, cy * sp], [sy * cp, cy, sy * sp], [-sp, 0, cp]])
        T = np.eye(4)
        T[:3, :3] = rotation
        T[:2, 3] = self.plan(s, t)
        T[2, 3] = float(self.elevation(s))
        T[:3, 3] += rotation[:, 2] * height
        return T
