"""Trees, hedges and bushes: leaves are small cards, so pulses pass between them as they do outside."""

from __future__ import annotations

import numpy as np

from training.world.materials import Palette
from training.world.mesh import Mesh, cards, loft, merge, tube


def _cloud(rng: np.random.Generator, count: int, radii: np.ndarray, hollow: float) -> np.ndarray:
    """``count`` points in an ellipsoid, thinner inside: ``hollow`` 0 = uniform, 1 = all on the surface."""
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    radius = rng.uniform(0, 1, count) ** (1 / (3 + 12 * hollow))
    for wave in rng.normal(0, 3.5, (4, 3)):  # lumps: no plant is a ball
        radius *= 1 + rng.uniform(0.05, 0.2) * np.sin(direction @ wave + rng.uniform(0, 6.3))
    return direction * radius[:, None] * radii


def tree(
    rng: np.random.Generator,
    palette: Palette,
    height: float,
    crown_radius: float,
    trunk_radius: float,
    clear: float,
    density: float = 1.0,
) -> Mesh:
    """A tree: trunk and main branches (class trunk), crown of leaf puffs above ``clear`` metres (vegetation)."""
    bark, leaves = palette.surface('trunk'), palette.surface('vegetation')
    crown_height = height - clear
    lean = rng.normal(0, 0.05, 2) * clear
    fork = np.array([lean[0], lean[1], clear + 0.25 * crown_height])
    bend = fork * [0.5, 0.5, 0.55] + np.append(rng.normal(0, 0.04, 2), 0)
    parts = [tube((0, 0, -0.25), bend, trunk_radius * 1.15, bark, trunk_radius * 0.95),
             tube(bend, fork, trunk_radius * 0.95, bark, trunk_radius * 0.65)]
    puffs = int(rng.integers(6, 14))
    for i in range(puffs):
        angle = 2 * np.pi * (i + rng.uniform(0, 0.7)) / puffs
        out = crown_radius * rng.uniform(0.2, 0.68)
        center = np.array([lean[0] + out * np.cos(angle), lean[1] + out * np.sin(angle),
                           clear + crown_height * rng.uniform(0.3, 0.82)])
        if i < 5:
            parts.append(tube(fork - [0, 0, rng.uniform(0, 0.15) * crown_height], center, trunk_radius * 0.4, bark,
                              0.02, sides=5))
        radii = np.array([1, 1, 0.8]) * min(crown_radius * rng.uniform(0.25, 0.6), crown_height * 0.45)
        size = rng.uniform(0.11, 0.2)
        count = int(np.clip(density * 26 * radii[0] * radii[1] / size, 60, 900))
        parts.append(cards(rng, center + _cloud(rng, count, radii, rng.uniform(0, 0.3)), size, leaves))
    return merge(parts)


def conifer(rng: np.random.Generator, palette: Palette, height: float, radius: float) -> Mesh:
    """A cone-shaped tree with leaves nearly down to the ground."""
    bark, leaves = palette.surface('trunk'), palette.surface('vegetation')
    clear = rng.uniform(0.3, 1.2)
    count = int(np.clip(220 * radius * (height - clear), 200, 5000))
    share = rng.beta(1.0, 1.7, count)
    angle = rng.uniform(0, 2 * np.pi, count)
    out = radius * (1 - share) * rng.uniform(0, 1, count) ** 0.35
    centers = np.stack([out * np.cos(angle), out * np.sin(angle), clear + share * (height - clear)], 1)
    return merge([tube((0, 0, -0.25), (0, 0, height * 0.6), 0.06 + height * 0.012, bark),
                  cards(rng, centers, 0.14, leaves)])


def hedge(rng: np.random.Generator, palette: Palette, length: float, depth: float, height: float) -> Mesh:
    """A clipped or grown-out hedge along x, its base at z = 0."""
    leaves = palette.surface('vegetation')
    wild = rng.uniform(0.02, 0.2)
    count = int(np.clip(rng.uniform(120, 260) * (length * height * 2 + length * depth), 100, 14000))
    p = rng.uniform(-0.5, 0.5, (count, 3))
    face = rng.choice(3, count, p=[0.08, 0.6, 0.32])
    side = np.sign(p[np.arange(count), face])
    side[(face == 2)] = 1
    p[np.arange(count), face] = 0.5 * side - side * rng.exponential(rng.uniform(0.05, 0.2), count)
    centers = p * [length, depth, height] + [0, 0, height / 2] + rng.normal(0, wild, (count, 3))
    wave = 0.08 * np.sin(centers[:, 0] * rng.uniform(1, 2.5) + rng.uniform(0, 6)) * centers[:, 2] / height
    centers[:, 2] = np.maximum(centers[:, 2] * (1 + wave), 0.03)
    inside = max(0.55, 1 - 0.5 / max(depth, 0.5))
    core = _core(rng, length * 0.97, depth * inside * 0.8, height * 0.86, leaves)
    return merge([core, cards(rng, centers, 0.09, leaves)])


def _core(rng: np.random.Generator, length: float, depth: float, height: float, material: int) -> Mesh:
    """The dense, bumpy inside of a hedge, through which nothing passes."""
    columns = max(3, int(length / 0.35))
    x = np.linspace(-length / 2, length / 2, columns)
    rings = []
    for position in x:
        w, h = depth / 2 * rng.uniform(0.8, 1.1), height * rng.uniform(0.88, 1.05)
        rings.append([[position, -w, -0.1], [position, w, -0.1], [position, w, h * 0.5], [position, w * 0.9, h],
                      [position, -w * 0.9, h], [position, -w, h * 0.5]])
    return loft(np.array(rings), material)


def bush(rng: np.random.Generator, palette: Palette, radius: float, height: float) -> Mesh:
    """A round shrub growing from the ground."""
    leaves = palette.surface('vegetation')
    radii = np.array([radius, radius, height * 0.62])
    count = int(np.clip(rng.uniform(600, 1500) * radius * height, 80, 5000))
    centers = _cloud(rng, count, radii, rng.uniform(0, 0.25)) + [0, 0, height * 0.45]
    centers[:, 2] = np.maximum(np.abs(centers[:, 2]), 0.03)
    return cards(rng, centers, rng.uniform(0.07, 0.13), leaves)


def tufts(rng: np.random.Generator, palette: Palette, positions: np.ndarray, height: float) -> Mesh:
    """Blades of long grass (class terrain) at ``positions`` [M, 3] on the ground."""
    blades = positions + np.stack([rng.normal(0, 0.05, len(positions)), rng.normal(0, 0.05, len(positions)),
                                   rng.uniform(0, height, len(positions))], 1)
    return cards(rng, blades, 0.07, palette.surface('terrain'))
