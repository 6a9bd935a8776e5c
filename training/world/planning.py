"""Where a street's strips, side streets and blocks run, drawn by theme."""

from __future__ import annotations

import numpy as np

from training.world.ground import Block, SideStreet, Zone
from training.world.settings import StreetSettings


def side_streets(rng: np.random.Generator, settings: StreetSettings, low: float, high: float) -> list[SideStreet]:
    """Side streets along the road, none closer than the settings' spacing."""
    streets = []
    s = low + rng.uniform(5, settings.crossing_spacing[1])
    while s < high - 8:
        sides = [(1,), (-1,), (1, -1)][rng.integers(3)]
        streets.append(SideStreet(float(s), float(rng.uniform(2.2, 4.0)), sides))
        s += rng.uniform(*settings.crossing_spacing)
    return streets


def _strips(rng: np.random.Generator, theme: str, kerb: float) -> tuple[Zone, ...]:
    raised = kerb if rng.random() < 0.85 else 0.01
    bay = Zone(
        float(rng.uniform(2.0, 2.6)), 'parking' if rng.random() < 0.75 else 'road', float(rng.uniform(-0.02, 0.05))
    )
    walk = Zone(float(rng.uniform(1.3, 3.0)), 'sidewalk', raised)
    verge = Zone(float(rng.uniform(1.0, 3.0)), 'terrain', raised + 0.03)
    soil = 'other-ground' if rng.random() < 0.08 else 'terrain'
    if theme == 'rural':
        strips = [Zone(float(rng.uniform(1.5, 4)), 'terrain', float(rng.uniform(-0.2, 0.06)))]
        if rng.random() < 0.3:
            strips.insert(0, walk)
        return (*strips, Zone(0.0, soil, float(rng.uniform(-0.5, 0.3))))
    if theme == 'commercial':
        lot = Zone(float(rng.uniform(5.5, 18)), 'parking' if rng.random() < 0.7 else 'sidewalk', raised * 0.5)
        strips = [walk, lot] if rng.random() < 0.7 else [verge, walk, lot]
        return (*strips, Zone(0.0, soil, raised))
    if theme == 'terrace':
        wide = Zone(float(rng.uniform(1.8, 5.0)), 'sidewalk', raised)
        strips = [bay, wide] if rng.random() < 0.6 else [wide]
        return (*strips, Zone(0.0, 'sidewalk' if rng.random() < 0.3 else soil, raised))
    choice = rng.random()
    if choice < 0.35:
        strips = [bay, walk]
    elif choice < 0.6:
        strips = [verge, walk]
    elif choice < 0.9:
        strips = [walk]
    else:
        strips = [bay, verge, walk]
    return (*strips, Zone(0.0, soil, raised + float(rng.uniform(-0.12, 0.4))))


def blocks(
    rng: np.random.Generator, settings: StreetSettings, theme: str, streets: list[SideStreet], low: float, high: float
) -> list[Block]:
    """Both sides of the road cut into blocks by the side streets, each with strips of its own."""
    result = []
    for side in (1, -1):
        cuts = [x for x in streets if side in x.sides]
        starts = [low, *[x.s + x.half for x in cuts]]
        ends = [*[x.s - x.half for x in cuts], high]
        strips = _strips(rng, theme, float(rng.uniform(*settings.kerb_height)))
        for start, end in zip(starts, ends, strict=True):
            if rng.random() < 0.35:
                strips = _strips(rng, theme, float(rng.uniform(*settings.kerb_height)))
            incline = float(rng.choice([0.0, rng.uniform(-0.1, 0.04), rng.uniform(0.03, 0.3)], p=[0.3, 0.45, 0.25]))
            if end > start:
                result.append(Block(start, end, side, strips, incline))
    return result
