"""Who moves: the ego vehicle's path, oncoming and leading vehicles, cyclists and walkers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from training.world import people, vehicles
from training.world.ground import Block, Ground
from training.world.mesh import Mesh
from training.world.occupancy import ALL
from training.world.scene import Actor
from training.world.settings import StreetSettings
from training.world.site import Site

START = 0.0
"""Where along the road the ego vehicle is at t = 0, metres."""


@dataclass(frozen=True, eq=False)
class EgoPath:
    """The ego vehicle's motion: constant speed along its lane, nodding and swaying a little on its springs."""

    ground: Ground
    lane: float  # lateral offset, metres
    speed: float
    nod: tuple[float, float]  # phases

    def pose(self, t: float) -> np.ndarray:
        """4x4 pose of the vehicle's ground point (below the LiDAR), x forwards, at ``t`` seconds."""
        s = START + self.speed * t
        T = self.ground.course.pose(s, self.lane, 0.0)
        T[2, 3] = np.mean([self.ground.height(s + d, self.lane + e) for d in (-1.3, 1.3) for e in (-0.7, 0.7)])
        pitch, roll = 0.004 * np.sin(3.1 * t + self.nod[0]), 0.004 * np.sin(2.3 * t + self.nod[1])
        T[:3, :3] = T[:3, :3] @ np.array([[1, 0, pitch], [0, 1, -roll], [-pitch, roll, 1]])
        u, _, v = np.linalg.svd(T[:3, :3])
        T[:3, :3] = u @ v
        return T


def lane_offset(road_half: float) -> float:
    """Distance of a lane's middle from the centre line."""
    return float(np.clip(road_half / 2, 1.1, 1.75))


def _along(
    site: Site, s0: float, t: float, speed: float, yaw: float, length: float, width: float
) -> Callable[[float], np.ndarray]:
    """Pose of something moving along the road at a constant offset, its wheels or feet on the ground."""
    return lambda time: site.resting_pose(s0 + speed * time, t, yaw, length, width)


def reserve_lanes(site: Site, low: float, high: float) -> None:
    """Keep standing things out of where vehicles drive."""
    reach = lane_offset(site.ground.road_half) + 1.3
    for s in np.arange(low, high, 1.0):
        center, heading = site.footprint(s, 0.0, 0.0)
        site.occupancy.take(center, heading, 1.4, 2 * min(reach, site.ground.road_half), ALL)


def reserve_walkway(site: Site, block: Block, middle: float) -> None:
    """Keep a strip of a sidewalk free for people walking along it."""
    for s in np.arange(block.start, block.end, 0.5):
        center, heading = site.footprint(s, block.side * middle, 0.0)
        site.occupancy.take(center, heading, 0.7, 0.8, ALL)


def actors(
    site: Site, settings: StreetSettings, ego_speed: float, duration: float, walkways: list[tuple[Block, float]]
) -> list[Actor]:
    """Everything that moves during ``duration`` seconds."""
    rng, palette = site.rng, site.palette
    lane = lane_offset(site.ground.road_half)
    result: list[Actor] = []

    def add(made: tuple[Mesh, tuple[float, float, float]], s0: float, t: float, speed: float, yaw: float) -> None:
        mesh, (length, width, _) = made
        result.append(Actor(mesh, site.new_instance(), _along(site, s0, t, speed, yaw, length, width)))

    def vehicle() -> tuple[Mesh, tuple[float, float, float]]:
        u = rng.random() / settings.rare
        if u < 0.05 and site.ground.road_half > 3.0:
            return vehicles.bus(rng, palette)
        if u < 0.12 and site.ground.road_half > 3.0:
            return vehicles.truck(rng, palette)
        if u < 0.19:
            return people.motorcyclist(rng, palette)
        if u < 0.27:
            return people.bicyclist(rng, palette)
        return vehicles.car(rng, palette)

    speed = float(rng.uniform(5, 14))
    s = START + rng.uniform(8, settings.oncoming_gap[1])
    while s < START + ego_speed * duration + speed * duration + 90:
        if rng.random() < 0.8:
            add(vehicle(), s, lane, -speed, np.pi)
        s += max(rng.uniform(*settings.oncoming_gap), 15)
    if rng.random() < 0.5:
        add(vehicle(), START + rng.uniform(9, 45), -lane, ego_speed, 0.0)
    if rng.random() < 0.4:
        add(vehicle(), START - rng.uniform(12, 40), -lane, ego_speed, 0.0)
    for block, middle in walkways:
        pace = float(rng.uniform(0.8, 1.7)) * rng.choice([-1, 1])
        s = block.start + rng.uniform(2, 25)
        travelled = abs(pace) * duration
        while s < block.end - 2:
            room = block.end - s if pace > 0 else s - block.start
            if room > travelled + 1 and rng.random() < 0.5:
                add(people.person(rng, palette), s, block.side * middle, pace, 0.0 if pace > 0 else np.pi)
            s += rng.uniform(4, 40)
    return result
