"""Walkers, riders, bicycles and motorcycles; origin on the ground at the middle, x forwards, metres."""

from __future__ import annotations

import numpy as np

from training.world.materials import Palette
from training.world.mesh import Mesh, box, ellipsoid, hoop, merge, tube, wheel

Size = tuple[float, float, float]


def _torso(rng: np.random.Generator, cloth: int, skin: int, hip: np.ndarray, lean: float, scale: float) -> list[Mesh]:
    """Trunk, arms and head above the hip point, leaning forwards by ``lean`` radians."""
    up = np.array([np.sin(lean), 0, np.cos(lean)])
    shoulder = hip + up * 0.52 * scale
    width = rng.uniform(0.17, 0.24) * scale
    parts = [
        tube(hip - up * 0.05, hip + up * 0.28 * scale, width * 0.8, cloth, width),
        tube(hip + up * 0.28 * scale, shoulder, width, cloth, width * 0.75),
        ellipsoid(shoulder + up * 0.22 * scale, (0.1 * scale, 0.085 * scale, 0.125 * scale), skin),
        tube(shoulder, shoulder + up * 0.14 * scale, 0.06 * scale, skin),
    ]
    for side in (-1, 1):
        start = shoulder + np.array([0, side * width * 0.95, -0.03])
        forward = lean + rng.uniform(-0.5, 0.6) if lean < 0.2 else lean + 0.9
        elbow = start + 0.29 * scale * np.array([np.sin(forward), side * 0.12, -np.cos(forward)])
        hand = elbow + 0.26 * scale * np.array([np.sin(forward + 0.4), 0, -np.cos(forward + 0.4)])
        parts += [tube(start, elbow, 0.055, cloth, 0.045, sides=6), tube(elbow, hand, 0.045, cloth, 0.04, sides=6)]
    return parts


def person(rng: np.random.Generator, palette: Palette) -> tuple[Mesh, Size]:
    """Somebody standing or in mid-stride, some with a bag."""
    scale = rng.uniform(0.62, 0.85) if rng.random() < 0.12 else rng.uniform(0.9, 1.08)
    coat, trousers = palette.surface('person'), palette.surface('person')
    skin = palette.surface('person', reflectance=0.4, color=(0.5, 0.35, 0.27))
    hip = np.array([0, 0, 0.92 * scale])
    stride = rng.uniform(0.0, 0.5)
    parts = _torso(rng, coat, skin, hip, rng.uniform(0, 0.08), scale)
    for side in (-1, 1):
        foot = np.array([side * stride * 0.45, side * 0.1, 0.04])
        knee = (hip + foot) / 2 + np.array([0.06 * stride, side * 0.02, 0])
        parts += [tube(hip + [0, side * 0.08, 0], knee, 0.085 * scale, trousers, 0.065 * scale, sides=6),
                  tube(knee, foot, 0.065 * scale, trousers, 0.05 * scale, sides=6),
                  box(foot - [0.08, 0.045, 0.04], foot + [0.17, 0.045, 0.04], trousers)]
    if rng.random() < 0.3:
        parts.append(box((-0.32, -0.16, 1.02 * scale), (-0.14, 0.16, 1.42 * scale), palette.surface('person')))
    return merge(parts), (0.75, 0.7, 1.75 * float(scale))


def bicycle(rng: np.random.Generator, palette: Palette, name: str = 'bicycle') -> tuple[Mesh, Size]:
    """A parked bicycle, or the one under a rider (then it has the rider's class)."""
    frame = palette.surface(name, reflectance=float(rng.uniform(0.15, 0.5)), color=(0.15, 0.16, 0.2))
    tyre = palette.tyre(name)
    radius = rng.uniform(0.31, 0.35)
    rear, front = np.array([-0.52, 0, radius]), np.array([0.52, 0, radius])
    crank, seat, head = np.array([-0.06, 0, 0.29]), np.array([-0.24, 0, 0.88]), np.array([0.36, 0, 0.86])
    parts = [hoop(tuple(rear), radius - 0.02, 0.02, tyre), hoop(tuple(front), radius - 0.02, 0.02, tyre)]
    for a, b in ((rear, crank), (rear, seat), (crank, seat), (crank, head), (seat, head), (front, head)):
        parts.append(tube(a, b, 0.018, frame, sides=5))
    for hub in (rear, front):
        for angle in np.arange(0, np.pi, np.pi / 5):
            spoke = radius * np.array([np.cos(angle), 0, np.sin(angle)])
            parts.append(tube(hub - spoke * 0.93, hub + spoke * 0.93, 0.004, frame, sides=3))
    parts += [tube(head, head + [0.02, 0, 0.17], 0.015, frame, sides=5),
              tube(head + [0.02, -0.28, 0.17], head + [0.02, 0.28, 0.17], 0.016, frame, sides=5),
              box((-0.37, -0.07, 0.88), (-0.11, 0.07, 0.96), tyre)]
    if rng.random() < 0.4:
        parts.append(box((-0.75, -0.07, 0.7), (-0.4, 0.07, 0.73), frame))
    return merge(parts), (1.75, 0.6, 1.05)


def motorcycle(rng: np.random.Generator, palette: Palette, name: str = 'motorcycle') -> tuple[Mesh, Size]:
    """A motorcycle or scooter."""
    body = palette.surface(name, reflectance=float(rng.uniform(0.05, 0.4)), color=(0.12, 0.12, 0.14))
    tyre = palette.tyre(name)
    scooter = rng.random() < 0.4
    radius = 0.24 if scooter else 0.31
    front = 0.62 if scooter else 0.7
    parts = [
        wheel((-front, 0, radius), radius, 0.13, tyre), wheel((front, 0, radius), radius, 0.11, tyre),
        box((-0.35, -0.16, 0.28), (0.3, 0.16, 0.62), body),
        ellipsoid((0.12, 0, 0.75), (0.32, 0.17, 0.16), body),
        box((-0.75, -0.14, 0.66), (-0.1, 0.14, 0.82), tyre),
        tube((front, 0, radius), (front - 0.25, 0, 0.98), 0.05, body),
        tube((front - 0.25, -0.36, 1.0), (front - 0.25, 0.36, 1.0), 0.02, tyre),
        box((front - 0.18, -0.12, 0.82), (front - 0.05, 0.12, 1.0), body),
    ]
    if scooter:
        parts.append(box((0.3, -0.22, 0.3), (0.4, 0.22, 0.95), body))
        parts.append(box((-0.85, -0.2, 0.8), (-0.5, 0.2, 1.12), body))
    return merge(parts), (2.0, 0.8, 1.15)


def _legs(palette: Palette, name: str, hip: np.ndarray, foot_z: float, spread: float) -> list[Mesh]:
    trousers = palette.surface(name)
    parts = []
    for side in (-1, 1):
        foot = np.array([0.02 + side * 0.12, side * spread, foot_z + side * 0.06])
        knee = np.array([0.28, side * spread, (hip[2] + foot[2]) / 2 + 0.12])
        parts += [tube(hip + [0, side * 0.08, 0], knee, 0.08, trousers, 0.065, sides=6),
                  tube(knee, foot, 0.065, trousers, 0.05, sides=6)]
    return parts


def bicyclist(rng: np.random.Generator, palette: Palette) -> tuple[Mesh, Size]:
    """A rider on a bicycle, one instance."""
    machine, _ = bicycle(rng, palette, 'bicyclist')
    skin = palette.surface('bicyclist', reflectance=0.4, color=(0.5, 0.35, 0.27))
    hip = np.array([-0.24, 0, 0.97])
    parts = [machine, *_torso(rng, palette.surface('bicyclist'), skin, hip, rng.uniform(0.2, 0.6), 1.0)]
    return merge(parts + _legs(palette, 'bicyclist', hip, 0.3, 0.12)), (1.8, 0.75, 1.8)


def motorcyclist(rng: np.random.Generator, palette: Palette) -> tuple[Mesh, Size]:
    """A rider on a motorcycle, one instance."""
    machine, _ = motorcycle(rng, palette, 'motorcyclist')
    helmet = palette.surface('motorcyclist', reflectance=0.3)
    hip = np.array([-0.3, 0, 0.86])
    parts = [machine, *_torso(rng, palette.surface('motorcyclist'), helmet, hip, rng.uniform(0.1, 0.5), 1.03)]
    return merge(parts + _legs(palette, 'motorcyclist', hip, 0.35, 0.22)), (2.1, 0.85, 1.75)
