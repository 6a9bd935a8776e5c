"""Houses, rows and halls; front along x at y = 0, body towards +y, base at z = 0, metres."""

from __future__ import annotations

import numpy as np

from training.world.materials import Palette
from training.world.mesh import Mesh, box, merge, quads
from training.world.scene import Texture


def _windows(
    rng: np.random.Generator, width: float, height: float, storey: float, glass: int, frame: int
) -> list[Mesh]:
    """Frames and panes on the front: frames stand 4 cm out, panes 1 cm, so that nothing flickers."""
    parts: list[Mesh] = []
    pitch, w, h = rng.uniform(1.9, 3.4), rng.uniform(0.8, 1.5), rng.uniform(1.0, 1.7)
    count = max(1, int(width / pitch))
    xs = (np.arange(count) - (count - 1) / 2) * pitch
    for floor in range(max(1, int(height / storey))):
        sill = floor * storey + 0.95
        if sill + h > height - 0.15:
            break
        for x in xs[np.abs(xs) < width / 2 - w / 2 - 0.15]:
            if rng.random() < 0.1:
                continue
            panes = np.array([[[x - w / 2, -0.012, sill], [x + w / 2, -0.012, sill],
                               [x + w / 2, -0.012, sill + h], [x - w / 2, -0.012, sill + h]]])
            parts.append(quads(panes, glass))
            parts.append(box((x - w / 2 - 0.08, -0.14, sill - 0.09), (x + w / 2 + 0.08, 0.0, sill - 0.01), frame))
            for side in (-1, 1):
                edge = x + side * (w / 2 + 0.04)
                parts.append(box((edge - 0.04, -0.045, sill), (edge + 0.04, 0.0, sill + h), frame))
    return parts


def _gable(
    width: float, depth: float, eaves: float, rise: float, overhang: float, along_x: bool, roof: int, wall: int
) -> Mesh:
    """A saddle roof on a box, its ridge along x or along y."""
    x, o = width / 2, overhang
    if along_x:
        ridge_l, ridge_r = [-x - o, depth / 2, eaves + rise], [x + o, depth / 2, eaves + rise]
        slopes = [[[-x - o, -o, eaves], [x + o, -o, eaves], ridge_r, ridge_l],
                  [[x + o, depth + o, eaves], [-x - o, depth + o, eaves], ridge_l, ridge_r]]
        top = eaves + rise
        ends = [[[s * x, 0, eaves], [s * x, depth, eaves], [s * x, depth / 2, top], [s * x, depth / 2, top]]
                for s in (-1, 1)]
    else:
        ridge_f, ridge_b = [0, -o, eaves + rise], [0, depth + o, eaves + rise]
        slopes = [[[-x - o, -o, eaves], ridge_f, ridge_b, [-x - o, depth + o, eaves]],
                  [[x + o, -o, eaves], [x + o, depth + o, eaves], ridge_b, ridge_f]]
        ends = [[[-x, y, eaves], [x, y, eaves], [0, y, eaves + rise], [0, y, eaves + rise]] for y in (0, depth)]
    return merge([quads(np.array(slopes, float), roof), quads(np.array(ends, float), wall)])


def house(rng: np.random.Generator, palette: Palette, width: float, depth: float, storeys: int) -> Mesh:
    """A dwelling with windows, a door, often a step, a bay or a balcony, and a saddle or flat roof."""
    texture = Texture.BRICK if rng.random() < 0.35 else Texture.PLASTER
    wall = palette.surface('building', texture)
    frame = palette.surface('building', Texture.PLAIN, color=(0.7, 0.7, 0.68))
    roof = palette.surface(
        'building', Texture.ROOF, color=(0.30, 0.13, 0.09) if rng.random() < 0.6 else (0.12, 0.12, 0.13)
    )
    glass = palette.glass('building')
    storey = rng.uniform(2.6, 3.1)
    eaves = storeys * storey + rng.uniform(0.1, 0.5)
    parts = [box((-width / 2, 0, -0.6), (width / 2, depth, eaves), wall)]
    parts += _windows(rng, width, eaves, storey, glass, frame)
    rear = merge(_windows(rng, depth, eaves, storey, glass, frame))
    parts.append(rear.moved((-width / 2, depth / 2, 0), -np.pi / 2))
    parts.append(rear.moved((width / 2, depth / 2, 0), np.pi / 2))
    door = rng.uniform(-0.35, 0.35) * width
    parts.append(box((door - 0.5, -0.05, -0.1), (door + 0.5, 0.0, 2.1), frame))
    parts.append(box((door - 0.8, -rng.uniform(0.5, 1.1), -0.4), (door + 0.8, 0.0, rng.uniform(0.1, 0.4)), wall))
    if rng.random() < 0.3:
        x = rng.uniform(-0.25, 0.25) * width
        parts.append(box((x - 1.2, -0.7, 0.9), (x + 1.2, 0.0, min(eaves, 2.6)), wall))
    if storeys > 1 and rng.random() < 0.3:
        x = rng.uniform(-0.25, 0.25) * width
        parts += [box((x - 1.5, -1.2, storey), (x + 1.5, 0, storey + 0.15), frame),
                  box((x - 1.5, -1.2, storey + 0.15), (x + 1.5, -1.12, storey + 1.1), frame)]
    if rng.random() < 0.8:
        rise = rng.uniform(0.25, 0.5) * (depth if rng.random() < 0.6 else width)
        parts.append(_gable(width, depth, eaves, rise, rng.uniform(0.2, 0.6), rng.random() < 0.6, roof, wall))
    else:
        parts.append(box((-width / 2 - 0.1, -0.1, eaves), (width / 2 + 0.1, depth + 0.1, eaves + 0.35), roof))
    return merge(parts)


def garage(rng: np.random.Generator, palette: Palette, width: float, depth: float) -> Mesh:
    """A low garage or shed with a flat roof."""
    wall = palette.surface('building')
    gate = palette.surface('building', Texture.WOOD, color=(0.5, 0.5, 0.5))
    height = rng.uniform(2.2, 2.8)
    return merge([box((-width / 2, 0, -0.4), (width / 2, depth, height), wall),
                  box((-width / 2 + 0.3, -0.03, 0.0), (width / 2 - 0.3, 0.0, 2.0), gate),
                  box((-width / 2 - 0.1, -0.2, height), (width / 2 + 0.1, depth, height + 0.2), gate)])


def hall(rng: np.random.Generator, palette: Palette, width: float, depth: float) -> Mesh:
    """A shop, office or works hall: long, plain, a band of glass."""
    wall, glass = palette.surface('building'), palette.glass('building')
    height = rng.uniform(4.0, 12.0)
    band = rng.uniform(0.8, 1.2)
    parts = [box((-width / 2, 0, -0.6), (width / 2, depth, height), wall)]
    for low in np.arange(band, height - 1.4, 3.2):
        pane = np.array([[[-width * 0.46, -0.012, low], [width * 0.46, -0.012, low],
                          [width * 0.46, -0.012, low + 1.3], [-width * 0.46, -0.012, low + 1.3]]])
        parts.append(quads(pane, glass))
        for x in np.arange(-width * 0.46, width * 0.46, 2.4):
            parts.append(box((x - 0.06, -0.06, low), (x + 0.06, 0.0, low + 1.3), wall))
    return merge(parts)
