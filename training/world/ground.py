"""The ground: carriageway, kerbs, parking, sidewalks, verges and side streets, as one surface with a class per face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.world.classes import WORLD_ID
from training.world.materials import Palette
from training.world.mesh import Mesh
from training.world.road import Course

REACH = 62.0
"""How far the ground extends to each side of the road, metres."""

MARKING = 0.07
"""Half the width of the centre line's paint, metres."""


@dataclass(frozen=True)
class Zone:
    """A strip beside the carriageway: its width, class and height above the carriageway's edge, metres."""

    width: float
    name: str
    height: float


@dataclass(frozen=True)
class Block:
    """One side of the road between two side streets: strips from the road's edge outwards; the last reaches on."""

    start: float
    end: float
    side: int  # +1 left, -1 right
    zones: tuple[Zone, ...]
    incline: float  # rise per metre beyond the strips

    def edge(self, road_half: float, index: int) -> float:
        """Distance from the centre line to where strip ``index`` begins."""
        return road_half + sum(z.width for z in self.zones[:index])


@dataclass(frozen=True)
class SideStreet:
    """A street that joins at s, with half its width and on which sides it goes on."""

    s: float
    half: float
    sides: tuple[int, ...]


@dataclass(eq=False)
class Ground:
    """Heights on the (s, t) grid and the class of every cell."""

    course: Course
    road_half: float
    s: np.ndarray
    t: np.ndarray
    z: np.ndarray  # [len(s), len(t)], above the centre line's elevation
    name: np.ndarray  # uint8 world class [len(s) - 1, len(t) - 1]

    def height(self, s: float, t: float) -> float:
        """World z of the surface at (s, t)."""
        i = int(np.clip(np.searchsorted(self.s, s) - 1, 0, len(self.s) - 2))
        j = int(np.clip(np.searchsorted(self.t, t) - 1, 0, len(self.t) - 2))
        a = np.clip((s - self.s[i]) / (self.s[i + 1] - self.s[i]), 0, 1)
        b = np.clip((t - self.t[j]) / (self.t[j + 1] - self.t[j]), 0, 1)
        z = self.z[i : i + 2, j : j + 2]
        low = z[0, 0] * (1 - b) + z[0, 1] * b
        high = z[1, 0] * (1 - b) + z[1, 1] * b
        return float(low * (1 - a) + high * a + self.course.elevation(s))

    def lowest(self, s: float, t: float, radius: float) -> float:
        """World z of the lowest surface within ``radius`` metres: where a house's or a hedge's foot goes."""
        around = [(s + a * radius, t + b * radius) for a in (-1, 0, 1) for b in (-1, 0, 1)]
        return min(self.height(*p) for p in around)

    def paint(self, s0: float, s1: float, t0: float, t1: float, name: str) -> None:
        """Give every cell whose middle lies in the rectangle the class ``name``."""
        i0, i1 = np.searchsorted((self.s[:-1] + self.s[1:]) / 2, (s0, s1))
        j0, j1 = np.searchsorted((self.t[:-1] + self.t[1:]) / 2, (t0, t1))
        self.name[i0:i1, j0:j1] = WORLD_ID[name]

    def class_at(self, s: float, t: float) -> int:
        """World class of the surface at (s, t)."""
        i = int(np.clip(np.searchsorted(self.s, s) - 1, 0, len(self.s) - 2))
        j = int(np.clip(np.searchsorted(self.t, t) - 1, 0, len(self.t) - 2))
        return int(self.name[i, j])

    def mesh(self, palette: Palette) -> Mesh:
        """The surface as triangles, one material per class."""
        plan = self.course.plan(self.s[:, None], self.t[None, :])
        z = self.z + self.course.elevation(self.s)[:, None]
        vertices = np.concatenate([plan, z[..., None]], -1).reshape(-1, 3)
        columns = len(self.t)
        i, j = np.meshgrid(np.arange(len(self.s) - 1), np.arange(columns - 1), indexing='ij')
        a = (i * columns + j).ravel()
        faces = np.concatenate(
            [np.stack([a, a + columns, a + columns + 1], 1), np.stack([a, a + columns + 1, a + 1], 1)]
        )
        table = np.zeros(256, np.int32)
        names = {v: k for k, v in WORLD_ID.items()}
        for value in np.unique(self.name):
            table[value] = palette.surface(names[int(value)])
        material = table[self.name.ravel()]
        return Mesh(vertices.astype(np.float32), faces.astype(np.int32), np.concatenate([material, material]))


def _axis(breaks: list[float], low: float, high: float, regular: np.ndarray) -> np.ndarray:
    """Grid lines from low to high near the ``regular`` ones, with two lines 2 cm apart at each break: a kerb's face."""
    lines = [b + d for b in breaks for d in (-0.01, 0.01)]
    distance = np.abs(regular[:, None] - np.asarray(breaks)[None]) if breaks else np.full((len(regular), 1), 9.0)
    kept = regular[distance.min(1) > 0.08]
    return np.unique(np.concatenate([lines, kept, [low, high]]))


def build(
    rng: np.random.Generator,
    course: Course,
    road_half: float,
    blocks: list[Block],
    streets: list[SideStreet],
    low: float,
    high: float,
) -> Ground:
    """The ground between s = low and high: strips of each block, side streets cut through them."""
    breaks_t = [b.side * b.edge(road_half, i) for b in blocks for i in range(len(b.zones))]
    breaks_t = sorted(set(np.round(breaks_t, 2)))
    merged: list[float] = []
    for b in breaks_t:
        if not merged or b - merged[-1] > 0.06:
            merged.append(float(b))
    fine = np.arange(-15.8, 16.01, 0.4)
    coarse = np.cumsum(np.linspace(0.5, 2.5, 31)) + 16
    coarse = coarse[coarse < REACH]
    t = _axis(merged, -REACH, REACH, np.concatenate([-coarse[::-1], fine, coarse, [-MARKING, MARKING]]))
    breaks_s = sorted(x for street in streets for x in (street.s - street.half, street.s + street.half))
    s = _axis(breaks_s, low, high, np.arange(low, high, 0.5))

    shape = (len(s), len(t))
    z, zone_class = np.zeros(shape), np.full(shape, WORLD_ID['road'], np.uint8)
    rough = np.full(shape, 0.004)
    dip = -0.02 * np.minimum(np.abs(t), road_half)
    z += dip
    for block in blocks:
        rows = (s >= block.start) & (s <= block.end)
        outward = block.side * t
        edges = [block.edge(road_half, i) for i in range(len(block.zones))]
        index = np.searchsorted(edges, outward, side='right') - 1
        for i, zone in enumerate(block.zones):
            columns = index == i
            cells = np.ix_(rows, columns)
            z[cells] = dip[columns] + zone.height
            zone_class[cells] = WORLD_ID[zone.name]
            rough[cells] = 0.03 if zone.name == 'terrain' else 0.006
        beyond = np.maximum(outward - edges[-1] - 1.0, 0)
        cells = np.ix_(rows, index == len(edges) - 1)
        z[cells] += np.minimum(beyond * block.incline, 6.0)[index == len(edges) - 1]
    for street in streets:
        rows = np.abs(s - street.s) < street.half
        for side in street.sides:
            cells = np.ix_(rows, side * t > road_half - 0.5)
            z[cells], zone_class[cells], rough[cells] = dip[side * t > road_half - 0.5], WORLD_ID['road'], 0.004
        level = np.ix_((np.abs(s - street.s) < street.half + 12), np.abs(t) > 0)
        fade = np.clip((np.abs(s - street.s) - street.half) / 12, 0, 1)[:, None] * np.ones(len(t))
        z[level] = np.where(z[level] > 0.25, 0.25 + (z[level] - 0.25) * fade[level], z[level])
    wave = sum(a * np.sin(kx * s[:, None] + ky * t[None, :] + p) for a, kx, ky, p in zip(
        rng.uniform(0, 0.02, 4), rng.uniform(-0.8, 0.8, 4), rng.uniform(-0.8, 0.8, 4), rng.uniform(0, 6.3, 4),
        strict=True))
    z = z + wave + rng.normal(size=shape) * rough
    # A cell takes the class of its outer, later corner where a kerb's narrow face lies between two strips.
    names = zone_class[:-1, :-1].copy()
    right = t[:-1] < 0
    names[:, right] = zone_class[:-1, 1:][:, right]
    narrow = np.diff(t) < 0.05
    raised = np.maximum(zone_class[:-1, :-1], zone_class[:-1, 1:])
    names[:, narrow] = raised[:, narrow]
    return Ground(course, road_half, s, t, z, names)
