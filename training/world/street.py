"""A whole street: drawn from a seed and settings, ready to be driven through and recorded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.world import ground as ground_module
from training.world.bodies import Body
from training.world.ground import Block, Ground
from training.world.kerbside import furnish, park_across, park_along, park_in_side_street, works
from training.world.lots import fill_block
from training.world.materials import Palette
from training.world.mesh import merge
from training.world.objects import WorldObject, moving_object, standing_object
from training.world.planning import blocks, side_streets
from training.world.road import Course
from training.world.scene import Scene, Texture
from training.world.settings import StreetSettings
from training.world.site import Site
from training.world.traffic import START, EgoPath, actors, lane_offset, reserve_lanes, reserve_walkway

_BEHIND, _AHEAD = 75.0, 85.0


@dataclass(frozen=True, eq=False)
class Street:
    """The scene, the way the ego vehicle takes through it, the ground below, and everything that has an instance id."""

    scene: Scene
    ego: EgoPath
    ground: Ground
    theme: str
    objects: tuple[WorldObject, ...] = ()


def build_street(seed: int, settings: StreetSettings, duration: float) -> Street:
    """The street of ``seed``, long enough for ``duration`` seconds of driving; the same arguments, the same street."""
    rng = np.random.default_rng(seed)
    names = list(settings.themes)
    theme = str(rng.choice(names, p=np.array([settings.themes[n] for n in names]) / sum(settings.themes.values())))
    speed = float(rng.uniform(*settings.ego_speed))
    low, high = START - _BEHIND, START + speed * duration + _AHEAD
    course = Course.draw(rng, float(rng.uniform(*settings.bend)), float(rng.uniform(*settings.grade)))
    road_half = float(rng.uniform(*settings.road_half_width))
    streets = side_streets(rng, settings, low + 10, high - 10)
    plan = blocks(rng, settings, theme, streets, low, high)
    palette = Palette(rng)
    ground = ground_module.build(rng, course, road_half, plan, streets, low, high)
    site = Site(rng, palette, ground)

    reserve_lanes(site, low, high)
    for street in streets:
        for side in street.sides:
            for t in np.arange(road_half, ground_module.REACH, 1.0):
                center, heading = site.footprint(street.s, side * t, 0)
                site.occupancy.take(center, heading, 2 * street.half - (2.4 if street.half > 2.7 else 0), 1.4)
        park_in_side_street(site, settings, street, road_half)
    walkways = _strips(site, settings, plan)
    for block in plan:
        fill_block(site, settings, theme, block)
        walk = next(
            ((block.edge(road_half, i), z.width) for i, z in enumerate(block.zones[:-1]) if z.name == 'sidewalk'), None
        )
        works(site, settings, block, road_half)
        furnish(site, settings, block, walk)
    if rng.random() < 0.55:
        dash = rng.uniform(2, 5)
        for s in np.arange(low, high, 2 * dash):
            ground.paint(s, s + dash, -0.8 * ground_module.MARKING, 0.8 * ground_module.MARKING, 'lane-marking')
    moving = actors(site, settings, speed, duration, walkways)
    mesh = merge([ground.mesh(palette), *[m for m, _ in site.items]])
    counts = [len(m.faces) for m, _ in site.items]
    instance = np.concatenate([np.zeros(len(mesh.faces) - sum(counts), int),
                               np.repeat([i for _, i in site.items], counts)])
    height, bearing = rng.uniform(0.35, 1.1), rng.uniform(0, 2 * np.pi)
    sun = np.array([np.cos(height) * np.cos(bearing), np.cos(height) * np.sin(bearing), np.sin(height)])
    rubber = np.array([m.texture is Texture.TYRE for m in palette.list])
    bodies = {i: Body.of(m, rubber, T) for m, i, T in site.parked}
    bodies.update({actor.instance: Body.of(actor.traced.mesh, rubber, None) for actor in moving})
    scene = Scene(mesh, instance, palette.list, moving, sun, bodies)
    ego = EgoPath(ground, -lane_offset(road_half), speed, (float(rng.uniform(0, 6.3)), float(rng.uniform(0, 6.3))))
    objects = (*(standing_object(m, i, T, scene.materials) for m, i, T in site.parked),
               *(moving_object(actor, scene.materials) for actor in moving))
    return Street(scene, ego, ground, theme, objects)


def _strips(site: Site, settings: StreetSettings, plan: list[Block]) -> list[tuple[Block, float]]:
    """Fill parking strips, keep a walkway free on wide sidewalks; returns the walkways."""
    walkways = []
    half = site.ground.road_half
    for block in plan:
        has_bay = False
        for i, zone in enumerate(block.zones[:-1]):
            inner = block.edge(half, i)
            if zone.name in ('parking', 'road'):
                if zone.width < 4:
                    park_along(site, settings, block, inner, zone.width)
                    has_bay = True
                else:
                    park_across(site, settings, block, inner, zone.width)
            elif zone.name == 'sidewalk' and 1.8 < zone.width < 4:
                reserve_walkway(site, block, inner + zone.width / 2)
                walkways.append((block, inner + zone.width / 2))
        if not has_bay and half > lane_offset(half) + 2.9:
            park_along(site, settings, block, half - 2.0, 2.0)
    return walkways
