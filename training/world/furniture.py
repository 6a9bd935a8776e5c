"""What stands along a street: lamps, signs, fences, walls, bins, barriers, cones; base at z = 0, metres."""

from __future__ import annotations

import numpy as np

from training.world.materials import Palette
from training.world.mesh import Mesh, box, merge, tube
from training.world.scene import Texture


def lamp(rng: np.random.Generator, palette: Palette) -> Mesh:
    """A street lamp, its arm towards +y."""
    metal = palette.surface('pole')
    height, radius = rng.uniform(4.0, 9.0), rng.uniform(0.06, 0.11)
    parts = [tube((0, 0, -0.2), (0, 0, height), radius * 1.2, metal, radius * 0.6)]
    if height > 5:
        reach = rng.uniform(0.6, 1.8)
        parts += [tube((0, 0, height), (0, reach, height + 0.2), 0.04, metal),
                  box((-0.12, reach - 0.1, height + 0.1), (0.12, reach + 0.5, height + 0.25), metal)]
    else:
        parts.append(tube((0, 0, height), (0, 0, height + 0.4), 0.18, metal, 0.1))
    return merge(parts)


def post(rng: np.random.Generator, palette: Palette) -> Mesh:
    """A bollard, a wooden utility pole or a traffic light: class pole."""
    metal = palette.surface('pole')
    kind = rng.choice(['bollard', 'utility', 'light'], p=[0.5, 0.25, 0.25])
    if kind == 'bollard':
        return tube((0, 0, -0.1), (0, 0, rng.uniform(0.7, 1.1)), rng.uniform(0.05, 0.1), metal)
    if kind == 'utility':
        return tube((0, 0, -0.2), (0, 0, rng.uniform(6.5, 9.5)), 0.15, palette.surface('pole', Texture.WOOD), 0.1)
    dark = palette.surface('pole', reflectance=0.08, color=(0.05, 0.06, 0.05))
    return merge([tube((0, 0, -0.1), (0, 0, 3.3), 0.06, metal),
                  box((-0.16, -0.14, 2.3), (0.16, 0.14, 3.2), dark)])


def sign(rng: np.random.Generator, palette: Palette) -> Mesh:
    """A traffic sign on a thin pole; the plate faces +x or -x and is retro-reflective on its front."""
    metal = palette.surface('pole')
    front, back = palette.surface('traffic-sign'), palette.surface('traffic-sign', Texture.PLAIN, 0.3, (0.4, 0.4, 0.4))
    height = rng.uniform(2.1, 2.7)
    half = rng.uniform(0.25, 0.42)
    sides = int(rng.choice([3, 4, 8, 16], p=[0.25, 0.3, 0.1, 0.35]))
    parts = [tube((0, 0, -0.1), (0, 0, height + 2 * half * 0.9), rng.uniform(0.028, 0.04), metal)]
    for i in range(1 + int(rng.random() < 0.25)):
        z = height + half - i * 2.05 * half
        parts += [tube((0.05, 0, z), (0.065, 0, z), half, front, sides=sides),
                  tube((0.042, 0, z), (0.05, 0, z), half, back, sides=sides)]
    mesh = merge(parts)
    return mesh if rng.random() < 0.5 else mesh.moved(yaw=np.pi)


def board(rng: np.random.Generator, palette: Palette) -> Mesh:
    """A large direction sign on two posts, facing along x."""
    metal, front = palette.surface('pole'), palette.surface('traffic-sign')
    width, height, low = rng.uniform(1.2, 2.6), rng.uniform(0.6, 1.5), rng.uniform(1.2, 2.2)
    parts = [tube((0, y, -0.1), (0, y, low + height), 0.05, metal) for y in (-width * 0.35, width * 0.35)]
    parts.append(box((0.06, -width / 2, low), (0.09, width / 2, low + height), front))
    return merge(parts)


def fence(rng: np.random.Generator, palette: Palette, length: float) -> Mesh:
    """A fence or a garden wall along x: pickets, boards, rails, bars or stone."""
    kind = rng.choice(
        ['picket', 'boards', 'rails', 'bars', 'wall', 'mesh', 'guard'], p=[0.2, 0.14, 0.1, 0.19, 0.22, 0.1, 0.05]
    )
    if kind == 'guard':
        return _guard_rail(palette, length)
    height = rng.uniform(0.75, 1.35) if kind != 'boards' else rng.uniform(1.3, 1.95)
    half = length / 2
    if kind == 'wall':
        stone = palette.surface('fence', Texture.BRICK, color=(0.42, 0.38, 0.34))
        high = rng.uniform(0.45, 1.5)
        return merge([box((-half, -0.12, -0.3), (half, 0.12, high), stone),
                      box((-half, -0.16, high), (half, 0.16, high + 0.06), stone)])
    wood = palette.surface('fence', Texture.WOOD if kind in ('picket', 'boards', 'rails') else Texture.PLAIN)
    posts = [box((x - 0.05, -0.05, -0.3), (x + 0.05, 0.05, height + 0.06), wood)
             for x in np.linspace(-half + 0.05, half - 0.05, max(2, int(length / 2.2)))]
    rails = [box((-half, -0.02, z - 0.035), (half, 0.02, z + 0.035), wood) for z in (0.25, height - 0.12)]
    if kind == 'boards':
        return merge([*posts, box((-half, -0.025, 0.06), (half, 0.0, height), wood)])
    if kind == 'rails':
        return merge([*posts, *rails, box((-half, -0.02, height * 0.5), (half, 0.02, height * 0.5 + 0.08), wood)])
    pitch, thick = {'picket': (0.14, 0.045), 'bars': (0.13, 0.01), 'mesh': (0.06, 0.004)}[str(kind)]
    count = max(2, int(length / pitch))
    slats = [box((x - thick, 0.02, 0.08), (x + thick, 0.035, height), wood)
             for x in np.linspace(-half + pitch, half - pitch, count)]
    return merge([*posts, *rails, *slats])


def _guard_rail(palette: Palette, length: float) -> Mesh:
    """A steel crash barrier along x: class fence in SemanticKITTI's use."""
    steel = palette.surface('fence', Texture.PLAIN, color=(0.45, 0.46, 0.46))
    half = length / 2
    posts = [box((x - 0.05, -0.06, -0.2), (x + 0.05, 0.06, 0.7), steel) for x in np.arange(-half + 0.1, half, 2.0)]
    return merge([*posts, box((-half, 0.06, 0.42), (half, 0.1, 0.74), steel)])


def bin_(rng: np.random.Generator, palette: Palette) -> Mesh:
    """A wheeled bin, a switch cabinet or a crate: other-object; some belong to a building: other-structure."""
    body = palette.surface('other-object' if rng.random() < 0.8 else 'other-structure')
    width, depth, height = rng.uniform(0.45, 1.3), rng.uniform(0.35, 0.75), rng.uniform(0.8, 1.4)
    return box((-width / 2, -depth / 2, -0.05), (width / 2, depth / 2, height), body)


def barrier(rng: np.random.Generator, palette: Palette) -> Mesh:
    """A construction barrier across x, 2 m wide."""
    body = palette.surface('barrier')
    if rng.random() < 0.5:
        return box((-0.25, -1.0, -0.05), (0.25, 1.0, rng.uniform(0.8, 1.0)), body)
    feet = [box((-0.3, y - 0.05, -0.02), (0.3, y + 0.05, 0.1), body) for y in (-0.8, 0.8)]
    return merge([*feet, box((-0.03, -1.0, 0.1), (0.03, 1.0, 0.2), body),
                  box((-0.03, -1.0, 0.75), (0.03, 1.0, 1.0), body),
                  *[box((-0.03, y - 0.04, 0.1), (0.03, y + 0.04, 1.0), body) for y in (-0.9, 0.0, 0.9)]])


def cone(palette: Palette) -> Mesh:
    """A traffic cone."""
    body = palette.surface('traffic-cone')
    return merge([box((-0.2, -0.2, -0.02), (0.2, 0.2, 0.05), body), tube((0, 0, 0.04), (0, 0, 0.75), 0.15, body, 0.03)])
