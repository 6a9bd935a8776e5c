"""Who stands where: keeps things from being put into one another."""

from __future__ import annotations

import numpy as np

CELL = 0.2
LOW, HIGH, ALL = 1, 2, 3
"""Layers: below about 2.3 m, above it, both."""


class Occupancy:
    """Taken floor space of a street in world x, y, in two layers: a crown may hang over a car, not over a house."""

    def __init__(self, low: np.ndarray, high: np.ndarray) -> None:
        self._origin = np.asarray(low, float)
        self._taken = np.zeros(np.ceil((np.asarray(high) - low) / CELL).astype(int) + 1, np.uint8)

    def _cells(self, center: np.ndarray, yaw: float, length: float, width: float) -> tuple[np.ndarray, np.ndarray]:
        u = np.linspace(-length / 2, length / 2, int(length / (CELL * 0.7)) + 2)
        v = np.linspace(-width / 2, width / 2, int(width / (CELL * 0.7)) + 2)
        c, s = np.cos(yaw), np.sin(yaw)
        x = center[0] + u[:, None] * c - v[None, :] * s
        y = center[1] + u[:, None] * s + v[None, :] * c
        i = ((x - self._origin[0]) / CELL).astype(int).ravel()
        j = ((y - self._origin[1]) / CELL).astype(int).ravel()
        inside = (i >= 0) & (j >= 0) & (i < self._taken.shape[0]) & (j < self._taken.shape[1])
        return i[inside], j[inside]

    def free(self, center: np.ndarray, yaw: float, length: float, width: float, layers: int = ALL) -> bool:
        """Whether an upright box with this footprint meets nothing in ``layers``."""
        i, j = self._cells(center, yaw, length, width)
        return len(i) > 0 and not np.any(self._taken[i, j] & layers)

    def take(self, center: np.ndarray, yaw: float, length: float, width: float, layers: int = ALL) -> None:
        """Mark the footprint as taken."""
        i, j = self._cells(center, yaw, length, width)
        self._taken[i, j] |= layers

    def claim(self, center: np.ndarray, yaw: float, length: float, width: float, layers: int = ALL) -> bool:
        """Take the footprint if it is free; says whether it was."""
        if not self.free(center, yaw, length, width, layers):
            return False
        self.take(center, yaw, length, width, layers)
        return True
