"""Behind the sidewalk: houses, front gardens, fences and hedges, woods, car parks."""

from __future__ import annotations

import numpy as np

from training.world import buildings, furniture, plants, vehicles
from training.world.ground import REACH, Block
from training.world.occupancy import ALL, HIGH, LOW
from training.world.settings import StreetSettings
from training.world.site import Site

_KINDS = {  # shares of house, row, hall, garage court, garden, wood, field
    'residential': (0.60, 0.10, 0.03, 0.05, 0.10, 0.11, 0.01),
    'terrace': (0.15, 0.66, 0.06, 0.04, 0.04, 0.04, 0.01),
    'suburb': (0.46, 0.02, 0.04, 0.03, 0.18, 0.24, 0.03),
    'rural': (0.12, 0.0, 0.03, 0.01, 0.14, 0.54, 0.16),
    'commercial': (0.10, 0.14, 0.52, 0.06, 0.04, 0.10, 0.04),
}
_NAMES = ('house', 'row', 'hall', 'garages', 'garden', 'wood', 'field')


def fill_block(site: Site, settings: StreetSettings, theme: str, block: Block) -> None:
    """Cut one block into lots from end to end and build on each."""
    rng = site.rng
    front = block.edge(site.ground.road_half, len(block.zones) - 1)
    s = block.start + rng.uniform(0.5, 3)
    setback = rng.uniform(2.0, 8.0) if theme not in ('terrace', 'commercial') else rng.uniform(0.0, 1.0)
    while s < block.end - 6:
        kind = str(rng.choice(_NAMES, p=_KINDS[theme]))
        width = float({'house': rng.uniform(9, 19), 'row': rng.uniform(14, 34), 'hall': rng.uniform(16, 40),
                       'garages': rng.uniform(8, 16)}.get(kind, rng.uniform(8, 30)))
        width = min(width, block.end - s - 0.5)
        middle = s + width / 2
        depth = max(0.4, setback + rng.normal(0, 0.6))
        if kind in ('house', 'row', 'hall', 'garages') and width > 7:
            _built(site, settings, block, kind, middle, width, front, depth)
        elif kind == 'wood':
            if rng.random() < 0.25:
                _boundary(site, block, s, s + width, front)
            _grove(site, block, middle, width, front + 0.8, 26.0, 0.09)
        elif kind == 'garden':
            _boundary(site, block, s, s + width, front)
            _planted(site, settings, block, middle, width, front, 18.0)
        else:
            if rng.random() < 0.5:
                _boundary(site, block, s, s + width, front)
            _grove(site, block, middle, width, front + 4, 30.0, 0.012)
        s += width + rng.uniform(0.2, 2.5)
    _backdrop(site, block)


def _built(
    site: Site,
    settings: StreetSettings,
    block: Block,
    kind: str,
    middle: float,
    width: float,
    front: float,
    setback: float,
) -> None:
    rng, side = site.rng, block.side
    gap = rng.uniform(1.5, 5.0) if kind == 'house' else rng.uniform(0, 1.5)
    wide, deep = max(width - gap, 5.0), rng.uniform(7.0, 12.0)
    shift = rng.uniform(-0.5, 0.5) * (width - wide)
    if kind == 'hall':
        mesh = buildings.hall(rng, site.palette, wide, deep * 1.6)
        deep *= 1.6
        setback += rng.uniform(0, 6)
    elif kind == 'garages':
        deep = 5.5
        mesh = buildings.garage(rng, site.palette, wide, deep)
    else:
        storeys = int(
            rng.choice([1, 2, 3, 4], p=[0.2, 0.5, 0.25, 0.05] if kind == 'house' else [0.02, 0.3, 0.43, 0.25])
        )
        mesh = buildings.house(rng, site.palette, wide, deep, storeys)
    distance = front + setback
    tilt = rng.normal(0, 0.02) if rng.random() < 0.85 else rng.uniform(-0.3, 0.3)
    yaw = (0.0 if side > 0 else np.pi) + tilt
    z = site.ground.height(middle + shift, side * (distance + 0.5))
    built = site.place(
        mesh, middle + shift, side * (distance + 1.2), wide + 0.6, deep + 1.6, yaw, ALL, z, deep / 2 - 0.2
    )
    drive = built and kind == 'house' and setback > 3.5 and rng.random() < 0.55
    if drive:
        _driveway(site, block, middle - width / 2 + 1.8, front, setback)
    if setback > 1.5:
        start = middle - width / 2 + (3.3 if drive else 0)
        if rng.random() < 0.9:
            _boundary(site, block, start, middle + width / 2, front)
        _planted(site, settings, block, middle + (1.5 if drive else 0), width - (3 if drive else 0), front, setback)
    if built:
        _grove(site, block, middle, width, distance + deep + 2.5, 14.0, 0.02)


def _driveway(site: Site, block: Block, s: float, front: float, setback: float) -> None:
    rng, side = site.rng, block.side
    t = sorted((side * (front - 0.1), side * (front + setback)))
    site.ground.paint(s - 1.4, s + 1.4, t[0], t[1], 'parking')
    if rng.random() < 0.6:
        site.park(lambda: vehicles.car(rng, site.palette), s, side * (front + min(setback - 0.2, 2.7)),
                  np.pi / 2 * rng.choice([-1, 1]) + rng.normal(0, 0.03))
    center, heading = site.footprint(s, side * (front + setback / 2), 0)
    site.occupancy.take(center, heading, 2.8, setback, ALL)


def _boundary(site: Site, block: Block, start: float, end: float, front: float) -> None:
    """A fence, wall or hedge along the front, with gates left open; sometimes a hedge behind a fence."""
    rng, side = site.rng, block.side
    kind = rng.choice(['fence', 'hedge', 'both', 'none'], p=[0.3, 0.42, 0.22, 0.06])
    if kind == 'none':
        return
    height, depth = rng.uniform(0.7, 2.6), rng.uniform(0.5, 1.6)
    step = rng.uniform(2.6, 5.0)
    state = rng.bit_generator.state
    for s in np.arange(start + step / 2 + 0.1, end - step / 2, step):
        if rng.random() < 0.05:
            continue
        yaw = 0.0 if side > 0 else np.pi
        if kind in ('fence', 'both'):
            twin = np.random.default_rng(state['state']['state'] % 2**63)
            t = side * (front + 0.25)
            if site.occupancy.free(*site.footprint(s, t, yaw), step - 0.45, 0.24, LOW):
                mesh = furniture.fence(twin, site.palette, step)
                site.place(mesh, s, t, step - 0.45, 0.24, yaw, LOW, site.ground.lowest(s, t, 1.0))
        if kind in ('hedge', 'both'):
            t = side * (front + 0.55 + depth / 2)
            if site.occupancy.free(*site.footprint(s, t, yaw), step - 0.45, depth + 0.25, ALL if height > 2 else LOW):
                mesh = plants.hedge(rng, site.palette, step, depth, height)
                site.place(mesh, s, t, step - 0.45, depth + 0.25, yaw, ALL if height > 2 else LOW,
                           site.ground.lowest(s, t, 0.5))


def plant_tree(
    site: Site, s: float, t: float, height: float, radius: float, trunk: float, clear: float, density: float = 1.0
) -> bool:
    """A tree whose crown meets nothing above and whose trunk meets nothing below; shrinks to fit, or does not grow."""
    center, heading = site.footprint(s, t, 0)
    for scale in (1.0, 0.7, 0.45):
        r = radius * scale
        low_crown = clear < 2.2
        if site.occupancy.free(center, heading, 2.1 * r, 2.1 * r, ALL if low_crown else HIGH) and site.occupancy.free(
            center, heading, 3 * trunk + 0.3, 3 * trunk + 0.3, LOW
        ):
            site.occupancy.take(center, heading, 1.8 * r, 1.8 * r, ALL if low_crown else HIGH)
            site.occupancy.take(center, heading, 3 * trunk, 3 * trunk, LOW)
            if low_crown and site.rng.random() < 0.4:
                mesh = plants.conifer(site.rng, site.palette, height * scale, r)
            else:
                mesh = plants.tree(site.rng, site.palette, clear + (height - clear) * scale, r, trunk, clear, density)
            site.add(mesh, s, t, z=site.ground.height(s, t))
            return True
    return False


def _planted(
    site: Site, settings: StreetSettings, block: Block, middle: float, width: float, front: float, depth: float
) -> None:
    """Bushes, small trees, long grass in a front garden."""
    rng, side = site.rng, block.side
    amount = rng.uniform(*settings.planting)
    count = rng.poisson(0.2 * width * depth * amount)
    along = middle + rng.uniform(-0.5, 0.5, count) * width
    out = side * (front + rng.uniform(0.9, max(depth - 0.6, 1.0), count))
    _shrubs(site, along, out, (0.3, 1.5), (0.4, 2.8))
    if rng.random() < 0.5:  # a bed of low plants along the front
        along = np.arange(middle - width / 2, middle + width / 2, rng.uniform(0.5, 1.0))
        reach = rng.uniform(0.6, 2.5)
        for row in np.arange(0.6, reach, 0.7):
            _shrubs(site, along, side * (front + row + rng.uniform(-0.2, 0.2, len(along))), (0.25, 0.6), (0.2, 1.0))
    for _ in range(rng.poisson(0.035 * width * depth * amount)):
        s, t = middle + rng.uniform(-0.5, 0.5) * width, side * (front + rng.uniform(1.2, max(depth - 1.0, 1.3)))
        plant_tree(
            site, s, t, rng.uniform(2.5, 8), rng.uniform(1.0, 2.6), rng.uniform(0.05, 0.16), rng.uniform(0.6, 2.4)
        )
    spots = rng.poisson(2.0 * width * min(depth, 6) * rng.random())
    if spots:
        along = middle + rng.uniform(-0.5, 0.5, spots) * width
        out = side * (front + rng.uniform(0.2, min(depth, 6), spots))
        _grass(site, along, out, rng.uniform(0.05, 0.25))


def _grass(site: Site, s: np.ndarray, t: np.ndarray, height: float) -> None:
    kept = [
        (a, b) for a, b in zip(s, t, strict=True) if site.occupancy.free(site.footprint(a, b, 0)[0], 0, 0.1, 0.1, LOW)
    ]
    if not kept:
        return
    points = np.array([[*site.footprint(a, b, 0)[0], site.ground.height(a, b)] for a, b in kept])
    site.items.append((plants.tufts(site.rng, site.palette, points, height), 0))


def _grove(site: Site, block: Block, middle: float, width: float, start: float, depth: float, density: float) -> None:
    """Trees and undergrowth from ``start`` metres off the road on."""
    rng, side = site.rng, block.side
    end = min(start + depth, REACH - 6)
    if end <= start:
        return
    for _ in range(rng.poisson(density * width * (end - start) * 0.8)):
        s, t = middle + rng.uniform(-0.5, 0.5) * width, side * rng.uniform(start, end)
        plant_tree(
            site, s, t, rng.uniform(4, 13), rng.uniform(1.5, 3.4), rng.uniform(0.07, 0.24), rng.uniform(0.8, 3.5), 0.7
        )
    count = rng.poisson(3.5 * density * width * (end - start))
    along, out = middle + rng.uniform(-0.5, 0.5, count) * width, side * rng.uniform(start, end, count)
    _shrubs(site, along, out, (0.5, 2.2), (0.6, 4.0))
    if density > 0.05 and rng.random() < 0.8:  # the wood's edge is overgrown
        along = np.arange(middle - width / 2, middle + width / 2, 1.3)
        _shrubs(site, along, side * (start + rng.uniform(0.3, 2.0, len(along))), (0.9, 1.8), (1.5, 4.5))


def _shrubs(site: Site, s: np.ndarray, t: np.ndarray, radius: tuple[float, float], height: tuple[float, float]) -> None:
    """Shrubs where nothing else stands; they may grow into one another."""
    rng, planted = site.rng, []
    for a, b in zip(s, t, strict=True):
        r = rng.uniform(*radius)
        center, heading = site.footprint(a, b, 0)
        if not site.occupancy.free(center, heading, 2.3 * r, 2.3 * r, ALL):
            r *= 0.5
        if site.occupancy.free(center, heading, 2.3 * r, 2.3 * r, ALL):
            site.add(plants.bush(rng, site.palette, r, rng.uniform(*height)), a, b)
            planted.append((center, heading, r))
    for center, heading, r in planted:
        site.occupancy.take(center, heading, 2.3 * r, 2.3 * r, ALL)


def _backdrop(site: Site, block: Block) -> None:
    """A far row of tall trees or halls, so that the horizon is not bare."""
    rng, side = site.rng, block.side
    for s in np.arange(block.start + 4, block.end - 4, rng.uniform(6, 16)):
        t = side * rng.uniform(38, REACH - 5)
        if rng.random() < 0.55:
            plant_tree(site, s, t, rng.uniform(8, 16), rng.uniform(2.2, 4.0), 0.22, rng.uniform(1.5, 4), 0.5)
        elif rng.random() < 0.35:
            wide, deep = rng.uniform(9, 16), rng.uniform(8, 10)
            yaw = 0.0 if side > 0 else np.pi
            if site.occupancy.free(*_shifted(site, s, t, yaw, deep / 2), wide, deep, ALL):
                mesh = buildings.house(rng, site.palette, wide, deep, int(rng.integers(1, 4)))
                site.place(mesh, s, t, wide, deep, yaw, ALL, site.ground.lowest(s, t, 3.0), deep / 2)


def _shifted(site: Site, s: float, t: float, yaw: float, shift: float) -> tuple[np.ndarray, float]:
    center, heading = site.footprint(s, t, yaw)
    return center + shift * np.array([-np.sin(heading), np.cos(heading)]), heading
