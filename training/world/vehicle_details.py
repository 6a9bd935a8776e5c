"""What is painted on vehicles beyond their shape: doors, lamps, grilles, wheel arches, rims."""

from __future__ import annotations

import numpy as np

from training.world.bodies import BodyTable

F = np.float32


def paint_car(
    albedo: np.ndarray, table: BodyTable, instance: np.ndarray, place: np.ndarray, normal: np.ndarray,
    pixel: np.ndarray, variety: np.ndarray,
) -> None:
    """Draw on the bodywork ``albedo`` [N, 3] of cars, at ``place`` [N, 3] with ``normal`` [N, 3] in their own frames.

    ``pixel`` [N] metres is what a pixel covers, ``variety`` [N] 0..1 differs from car to car.
    """
    size = table.high[instance] - table.low[instance]
    share = (place - table.low[instance]) / size  # 0..1 from rear, right and ground to front, left and roof
    behind, height = (1 - share[:, 0]) * size[:, 0], share[:, 2]
    off = np.abs(share[:, 1] - F(0.5)) * 2

    def line(distance: np.ndarray, half: float) -> np.ndarray:
        return np.clip((F(half) - np.abs(distance)) / pixel + F(0.5), 0, 1)

    dark = np.zeros(len(albedo), np.float32)
    side = np.abs(normal[:, 1]) > 0.7
    doors = side & (height > 0.17) & (height < 0.64)
    two = variety < 0.35
    for seam in (0.31, 0.51, 0.70):
        at = np.where(two & (seam == 0.51), F(0.60), F(seam))
        dark = np.maximum(dark, F(0.8) * line(behind - at * size[:, 0], 0.006) * doors)
        handle = line(behind - (at + F(0.16)) * size[:, 0], 0.09) * line((height - F(0.555)) * size[:, 2], 0.012)
        dark = np.maximum(dark, F(0.6) * handle * (doors & (seam < 0.6)))
    dark = np.maximum(dark, F(0.75) * (side & (height < 0.175)))
    x, z, radius = np.moveaxis(table.axles[instance], 2, 0)
    away = np.hypot(place[:, 0:1] - x, place[:, 2:3] - z) - radius
    arch = ((away < 0.05) & (radius > 0)).any(1) & side
    dark = np.maximum(dark, F(0.92) * arch)
    front, rear = normal[:, 0] > 0.3, normal[:, 0] < -0.3
    nose = front & (share[:, 0] > 0.93)
    tail = rear & (share[:, 0] < 0.07)
    grille = nose & (off < 0.5) & (height > 0.34) & (height < 0.40 + 0.05 * variety)
    intake = nose & (off < 0.75) & (height > 0.15) & (height < 0.22)
    bumper = tail & (height < 0.24)
    dark = np.maximum(dark, F(0.85) * (grille | intake) + F(0.6) * bumper)
    dark = np.maximum(dark, F(0.6) * line((height - F(0.36)) * size[:, 2], 0.006) * tail)
    albedo *= (1 - dark)[:, None]
    lamp = nose & (off > 0.55) & (off < 0.93) & (height > 0.35) & (height < 0.43 + 0.03 * variety)
    albedo[lamp] = F(0.65)


def paint_wheels(
    albedo: np.ndarray, table: BodyTable, instance: np.ndarray, place: np.ndarray, normal: np.ndarray,
    variety: np.ndarray,
) -> None:
    """Draw rims with spokes on tyres ``albedo`` [N, 3]; arguments as for ``paint_car``."""
    x, z, radius = np.moveaxis(table.axles[instance], 2, 0)
    dx, dz = place[:, 0:1] - x, place[:, 2:3] - z
    away = np.hypot(dx, dz)
    nearest = np.argmin(np.where(radius > 0, away, F(np.inf)), 1)[:, None]
    away, reach, dx, dz = (np.take_along_axis(a, nearest, 1)[:, 0] for a in (away, radius, dx, dz))
    rim = (away < F(0.66) * reach) & (np.abs(normal[:, 1]) > 0.8)
    spokes = np.floor(F(5) + F(4.99) * variety)
    gap = (np.cos(np.arctan2(dz, dx) * spokes) > 0.35) & (away > 0.2 * reach) & (away < 0.56 * reach)
    albedo[rim] = F(0.42)
    albedo[rim & gap] = F(0.05)
