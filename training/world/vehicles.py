"""Cars, vans, trucks, buses, trailers and diggers; origin on the ground at the middle, x forwards, metres."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from training.world.materials import Palette
from training.world.mesh import Mesh, box, loft, merge, tube, wheel


class _Body(NamedTuple):
    """Proportions of a car: ranges in metres; lengths along it as shares, from the front bumper."""

    length: tuple[float, float]
    width: tuple[float, float]
    height: tuple[float, float]
    hood: float  # where the windscreen begins
    roof: tuple[float, float]
    tail: float  # where the rear window ends


_BODIES = {
    'hatchback': _Body((3.6, 4.3), (1.62, 1.8), (1.42, 1.58), 0.27, (0.40, 0.86), 0.97),
    'sedan': _Body((4.4, 4.9), (1.72, 1.88), (1.38, 1.5), 0.28, (0.42, 0.70), 0.83),
    'estate': _Body((4.3, 4.8), (1.72, 1.86), (1.42, 1.55), 0.27, (0.40, 0.90), 0.98),
    'suv': _Body((4.3, 4.9), (1.8, 1.98), (1.62, 1.85), 0.27, (0.38, 0.88), 0.97),
    'van': _Body((4.5, 5.6), (1.85, 2.05), (1.9, 2.5), 0.16, (0.27, 0.97), 0.995),
}
_WEIGHTS = (0.34, 0.22, 0.2, 0.13, 0.11)


def _ring(x: float, half: float, low: float, belt: float, top: float, top_half: float) -> np.ndarray:
    """One cross-section of eight corners: sills, belt line, roof edge."""
    return np.array([
        [x, -half * 0.94, low], [x, half * 0.94, low], [x, half, (low + belt) / 2], [x, half * 0.97, belt],
        [x, top_half, top], [x, -top_half, top], [x, -half * 0.97, belt], [x, -half, (low + belt) / 2],
    ])


def car(rng: np.random.Generator, palette: Palette, kind: str | None = None) -> tuple[Mesh, tuple[float, float, float]]:
    """A passenger car or van: (mesh, (length, width, height))."""
    name = kind or str(rng.choice(list(_BODIES), p=_WEIGHTS))
    shape = _BODIES[name]
    length, width, height = (float(rng.uniform(*x)) for x in (shape.length, shape.width, shape.height))
    paint, glass, tyre, plate = palette.paint('car'), palette.glass('car'), palette.tyre('car'), palette.plate('car')
    lamp = palette.tail_lamp('car')
    low = rng.uniform(0.17, 0.26)
    belt = height * rng.uniform(0.58, 0.64) if name != 'van' else height * 0.52
    hood_z = belt * rng.uniform(0.9, 1.0)
    half, roof_half = width / 2, width / 2 * rng.uniform(0.72, 0.8) if name != 'van' else width / 2 * 0.9
    (r0, r1), tail, hood = shape.roof, shape.tail, shape.hood
    trunk_z = belt if tail < 0.9 else belt * 0.98

    def at(share: float) -> float:
        return length * (0.5 - share)

    nose = belt * 0.62
    stations = [  # share of length from the front, top height, half width at the top, upper band is glass
        (0.0, nose, half * 0.78, False), (0.03, nose * 1.12, half * 0.86, False),
        (hood * 0.6, hood_z * 0.95, half * 0.9, False), (hood, hood_z * 1.01, half * 0.9, True),
        (r0, height * 0.985, roof_half, True), ((r0 + r1) / 2, height, roof_half, True),
        (r1, height * 0.97, roof_half * 0.97, True), (tail, trunk_z * 1.01, half * 0.86, False),
        (1.0, trunk_z * (0.9 if tail < 0.9 else 0.62), half * 0.8, False),
    ]
    rings, materials = [], []
    for share, top, top_half, _ in stations:
        ends = 0.82 if share in (0.0, 1.0) else 1.0
        clearance = low * (1.35 if share in (0.0, 1.0) else 1.0)
        rings.append(_ring(at(share), half * ends, clearance, min(belt, top * 0.97), top, top_half))
    for (_, _, _, glazed), (_, top, _, _) in pairwise(stations):
        sides = glass if glazed and not (name == 'van' and rng.random() < 0.5) else paint
        slope = glass if glazed and top != height and sides == glass else paint
        materials.append([paint, paint, paint, sides, slope, sides, paint, paint])
    parts = [loft(rings, np.array(materials))]
    radius = rng.uniform(0.29, 0.36)
    for x in (length * rng.uniform(0.29, 0.32), -length * rng.uniform(0.27, 0.3)):
        for side in (-1, 1):
            parts.append(wheel((x, side * (half - 0.1), radius), radius, 0.22, tyre))
    for x in (at(0.0) + 0.01, at(1.0) - 0.01):
        parts.append(box((x - 0.012, -0.26, 0.42), (x + 0.012, 0.26, 0.53), plate))
    for side in (-1, 1):
        parts.append(
            box(
                (at(hood) - 0.25, side * half - 0.09, belt * 0.98),
                (at(hood) - 0.1, side * half + 0.09, belt * 1.12),
                paint,
            )
        )
        parts.append(box((at(1.0) - 0.015, side * half * 0.72 - 0.09, belt * 0.72),
                         (at(1.0) + 0.012, side * half * 0.72 + 0.09, belt * 0.86), lamp))
    return merge(parts), (length, width + 0.12, height)


def _wheels(xs: tuple[float, ...], half: float, radius: float, tyre: int) -> list[Mesh]:
    return [wheel((x, side * (half - 0.17), radius), radius, 0.3, tyre) for x in xs for side in (-1, 1)]


def truck(rng: np.random.Generator, palette: Palette) -> tuple[Mesh, tuple[float, float, float]]:
    """A rigid truck with a cab and a box, tipper or flat bed."""
    length, width, height = rng.uniform(6.0, 9.5), rng.uniform(2.2, 2.5), rng.uniform(2.7, 3.6)
    paint, glass, tyre = palette.paint('truck'), palette.glass('truck'), palette.tyre('truck')
    load = palette.surface('truck', reflectance=float(rng.uniform(0.2, 0.7)))
    half, front, cab = width / 2, length / 2, rng.uniform(1.7, 2.1)
    cab_height = min(height, rng.uniform(2.3, 2.9))
    parts = [
        box((front - cab, -half, 0.45), (front, half, cab_height * 0.55), paint),
        box((front - cab, -half * 0.97, cab_height * 0.55), (front - 0.12, half * 0.97, cab_height * 0.86), glass),
        box((front - cab, -half * 0.95, cab_height * 0.86), (front - 0.2, half * 0.95, cab_height), paint),
        box((-front, -0.45, 0.55), (front - cab, 0.45, 0.85), tyre),
    ]
    kind = rng.choice(['box', 'bed', 'tipper'], p=[0.6, 0.2, 0.2])
    top = {'box': height, 'bed': 1.5, 'tipper': 2.1}[str(kind)]
    parts.append(box((-front, -half, 0.9), (front - cab - 0.15, half, top), load))
    parts += _wheels((front - cab * 0.6, -front + length * 0.18, -front + length * 0.3), half, 0.48, tyre)
    return merge(parts), (float(length), float(width), float(max(top, cab_height)))


def bus(rng: np.random.Generator, palette: Palette) -> tuple[Mesh, tuple[float, float, float]]:
    """A city bus with a window band."""
    length, width, height = rng.uniform(10.0, 12.5), rng.uniform(2.45, 2.6), rng.uniform(2.9, 3.3)
    paint, glass, tyre = palette.paint('bus'), palette.glass('bus'), palette.tyre('bus')
    half, front = width / 2, length / 2
    parts = [
        box((-front, -half, 0.3), (front, half, 1.15), paint),
        box((-front + 0.05, -half * 0.985, 1.15), (front - 0.05, half * 0.985, 2.3), glass),
        box((-front, -half, 2.3), (front, half, height), paint),
    ]
    for x in np.arange(-front + 0.6, front - 0.3, 1.6):
        parts.append(box((x - 0.07, -half, 1.15), (x + 0.07, half, 2.3), paint))
    parts += _wheels((front - 2.7, -front + 3.2), half, 0.48, tyre)
    return merge(parts), (float(length), float(width), float(height))


def trailer(rng: np.random.Generator, palette: Palette) -> tuple[Mesh, tuple[float, float, float]]:
    """A parked trailer or caravan."""
    length, width, height = rng.uniform(3.0, 6.0), rng.uniform(1.7, 2.3), rng.uniform(1.3, 2.6)
    body, tyre = palette.paint('trailer'), palette.tyre('trailer')
    half, front = width / 2, length / 2
    parts = [box((-front, -half, 0.5), (front - 0.9, half, height), body),
             tube((front - 0.9, 0, 0.55), (front, 0, 0.5), 0.05, tyre)]
    parts += _wheels((-0.4,), half, 0.33, tyre)
    return merge(parts), (float(length), float(width), float(height))


def digger(rng: np.random.Generator, palette: Palette) -> tuple[Mesh, tuple[float, float, float]]:
    """A small excavator: tracks, cab and a folded arm."""
    body, track = palette.surface('construction-vehicle', color=(0.8, 0.55, 0.05)), palette.tyre('construction-vehicle')
    glass = palette.glass('construction-vehicle')
    parts = [box((-1.3, side * 0.85 - 0.22, 0.0), (1.3, side * 0.85 + 0.22, 0.7), track) for side in (-1, 1)]
    parts += [
        box((-1.5, -1.05, 0.75), (0.9, 1.05, 1.5), body),
        box((-0.3, 0.1, 1.5), (0.9, 1.0, 2.7), glass),
        tube((0.9, -0.4, 1.3), (2.3, -0.4, 2.9), 0.16, body),
        tube((2.3, -0.4, 2.9), (3.1, -0.4, 0.9), 0.13, body),
        box((2.8, -0.8, 0.3), (3.3, 0.0, 0.9), track),
    ]
    return merge(parts), (4.9, 2.2, 3.0)
