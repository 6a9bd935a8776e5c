"""Between road and lots: parked vehicles, street trees, lamps, signs, bins, people and cycles standing about."""

from __future__ import annotations

import numpy as np

from training.world import furniture, people, vehicles
from training.world.ground import Block, SideStreet
from training.world.lots import plant_tree
from training.world.occupancy import ALL, LOW
from training.world.settings import StreetSettings
from training.world.site import Maker, Site


def _vehicle(site: Site, rare: float) -> tuple[Maker, bool]:
    """A maker of a parked vehicle, now and then something other than a car; and whether it is tall."""
    rng, palette = site.rng, site.palette
    u = rng.random() / rare
    if u < 0.03:
        return (lambda: vehicles.truck(rng, palette)), True
    if u < 0.05:
        return (lambda: vehicles.trailer(rng, palette)), True
    if u < 0.058:
        return (lambda: vehicles.digger(rng, palette)), True
    if u < 0.08:
        return (lambda: people.motorcycle(rng, palette)), False
    return (lambda: vehicles.car(rng, palette)), False


def park_along(site: Site, settings: StreetSettings, block: Block, inner: float, width: float) -> None:
    """A row of vehicles in the strip that begins ``inner`` metres from the centre line."""
    rng, side = site.rng, block.side
    share = rng.uniform(*settings.parked_share)
    t = side * (inner + width / 2)
    heading = 0.0 if side < 0 else np.pi
    s = block.start + rng.uniform(5, 12)
    while s < block.end - 6:
        if rng.random() < share:
            maker, high = _vehicle(site, settings.rare)
            flip = np.pi if rng.random() < 0.15 else 0.0
            site.park(maker, s, t + rng.normal(0, 0.06), heading + flip + rng.normal(0, 0.015), high)
            s += rng.uniform(5.2, 7.2)
        else:
            s += rng.uniform(3, 9)


def park_across(site: Site, settings: StreetSettings, block: Block, inner: float, width: float) -> None:
    """Vehicles side by side in a car park, in one or more rows."""
    rng, side = site.rng, block.side
    share = rng.uniform(*settings.parked_share)
    for row in np.arange(inner + 2.7, inner + width - 2.2, 7.5):
        for s in np.arange(block.start + 4, block.end - 3, 2.65):
            if rng.random() < share:
                maker, high = _vehicle(site, settings.rare)
                yaw = np.pi / 2 * rng.choice([-1, 1]) + rng.normal(0, 0.04)
                site.park(maker, s, side * (row + rng.normal(0, 0.15)), yaw, high)


def park_in_side_street(site: Site, settings: StreetSettings, street: SideStreet, road_half: float) -> None:
    """Vehicles along one kerb of a side street."""
    rng = site.rng
    for side in street.sides:
        if street.half < 2.7:
            continue
        for t in np.arange(road_half + 9, 50, 6.5):
            if rng.random() < rng.uniform(*settings.parked_share):
                maker, high = _vehicle(site, settings.rare)
                site.park(maker, street.s + street.half - 1.15, side * t, np.pi / 2, high)


def furnish(site: Site, settings: StreetSettings, block: Block, walk: tuple[float, float] | None) -> None:
    """Trees, lamps, signs, bins and people of one block; ``walk`` = (inner edge, width) of its sidewalk, if any."""
    rng, side, ground = site.rng, block.side, site.ground
    inner, width = walk if walk else (ground.road_half + 0.6, 1.6)
    near, far = side * (inner + 0.35), side * (inner + width - 0.3)

    def every(spacing: tuple[float, float]) -> list[float]:
        s, result = block.start + rng.uniform(1, spacing[1]), []
        while s < block.end - 1:
            result.append(s)
            s += rng.uniform(*spacing)
        return result

    if rng.random() < 0.6:
        lean = side * rng.choice([-0.9, 0.0]) if not walk else 0.0
        for s in every(settings.tree_spacing):
            plant_tree(site, s, near + lean, rng.uniform(4.5, 10), rng.uniform(1.2, 3.0), rng.uniform(0.07, 0.22),
                       rng.uniform(1.9, 3.2))
    lamps = rng.random() < 0.75
    for s in every((18.0, 40.0)) if lamps else []:
        site.place(furniture.lamp(rng, site.palette), s, near if rng.random() < 0.6 else far, 0.4, 0.4,
                   np.pi if side > 0 else 0.0)
    for s in every((9.0 / settings.rare, 45.0 / settings.rare)):
        kind = rng.random()
        t = near if rng.random() < 0.7 else far
        if kind < 0.55:
            site.place(furniture.sign(rng, site.palette), s, t, 0.35, 0.9, rng.normal(0, 0.2), ALL)
        elif kind < 0.9:
            site.place(furniture.post(rng, site.palette), s, t, 0.4, 0.4, 0.0, ALL)
        else:
            site.place(
                furniture.board(rng, site.palette), s, side * (inner + width + 0.6), 0.5, 2.8, rng.normal(0, 0.1)
            )
    for s in every((7.0, 35.0)):
        yaw = rng.choice([0.0, np.pi])
        site.place(furniture.bin_(rng, site.palette), s, far, 1.35, 0.85, yaw + rng.normal(0, 0.1), LOW)
    for s in every((25.0 / settings.rare, 90.0 / settings.rare)):
        for i in range(int(rng.integers(1, 4))):
            site.park(
                lambda: people.bicycle(rng, site.palette),
                s + 0.8 * i,
                far - side * 0.4,
                np.pi / 2 + rng.normal(0, 0.15),
            )
    for _ in range(rng.poisson(max(block.end - block.start, 0) / 100 * rng.uniform(*settings.walkers_per_100m))):
        s = rng.uniform(block.start, block.end)
        t = side * rng.uniform(inner + 0.3, inner + width + (2 if rng.random() < 0.2 else 0))
        site.park(lambda: people.person(rng, site.palette), s, t, rng.uniform(0, 6.3))


def works(site: Site, settings: StreetSettings, block: Block, inner: float) -> None:
    """Now and then a few metres of kerb are fenced off with barriers and cones."""
    rng = site.rng
    if rng.random() > 0.12 * settings.rare or block.end - block.start < 20:
        return
    s0 = rng.uniform(block.start + 4, block.end - 12)
    for i in range(int(rng.integers(2, 6))):
        t = block.side * (inner + 0.5)
        if rng.random() < 0.5:
            site.place(furniture.barrier(rng, site.palette), s0 + 2.2 * i, t, 0.7, 2.1, np.pi / 2, LOW)
        else:
            site.place(furniture.cone(site.palette), s0 + 2.2 * i, t, 0.45, 0.45, 0.0, LOW)
