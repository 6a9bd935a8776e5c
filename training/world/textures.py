"""Procedural textures: how much brighter or darker, and of what tint, a material is at a spot on its surface.

Every texture is a function of the spot's position in the hit object's own frame, so that it sticks to what moves, and
fades out where a pixel covers more of the surface than its details measure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.world.classes import WORLD_ID
from training.world.noise import FINE, RIDGE, ROUGH, SIZE, SOFT, cell_random, lookup
from training.world.scene import Texture

F = np.float32


@dataclass(frozen=True, eq=False)
class Spots:
    """N places on surfaces of one texture.

    across, up  float32 [N], metres: coordinates along the surface (x and y on level ground, else horizontally and z)
    normal      float32 [N, 3]
    pixel       float32 [N], metres of surface that a pixel covers, mean of its two directions
    stretch     float32 [N], the longer of the two
    variety     float32 [N], 0..1, a number of the material's own
    class_id    uint8 [N]
    """

    across: np.ndarray
    up: np.ndarray
    normal: np.ndarray
    pixel: np.ndarray
    stretch: np.ndarray
    variety: np.ndarray
    class_id: np.ndarray

    def noise(self, tile: float, squeeze: float = 1.0) -> np.ndarray:
        """Atlas values float32 [N, 4], faded with distance; ``squeeze`` stretches them along ``across``."""
        values = lookup(self.across * F(1 / squeeze) + self.variety * F(97), self.up, tile)
        values *= self.fade(tile / 100)[:, None]
        return values

    def grain(self, texel: float, falloff: float = 0.85) -> np.ndarray:
        """Speckle [N] of deviation 1 as fine as can be seen: ``texel`` metres, or coarser and weaker farther off."""
        level = np.clip(np.floor(np.log2(self.pixel * F(0.8 / texel))), 0, 7)
        shrink = np.exp2(-level)
        values = lookup(self.across * shrink + level * F(0.37), self.up * shrink, texel * SIZE)[:, FINE]
        return values * F(falloff) ** level

    def fade(self, detail: float) -> np.ndarray:
        """float32 [N]: 1 where details ``detail`` metres wide are resolved, 0 where a pixel covers several."""
        return np.clip(F(1.35) - self.pixel * F(0.45 / detail), 0, 1)

    def grid_fade(self, detail: float) -> np.ndarray:
        """As ``fade`` by the longer side of the pixel: regular patterns would make moire."""
        return np.clip(F(1.5) - self.stretch * F(0.5 / detail), 0, 1)


def tint(texture: Texture, spots: Spots) -> np.ndarray:
    """Factors float32 [N, 3] on the material's albedo."""
    return np.maximum(_TINTS.get(texture, _plain)(spots), F(0.02))


def _gray(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[:, None], 3, 1)


def _colored(values: np.ndarray, warm: np.ndarray) -> np.ndarray:
    """Brightness ``values`` [N], red up and blue down by ``warm`` [N]."""
    return np.stack([values * (1 + warm), values, values * (1 - warm)], 1)


def _plain(s: Spots) -> np.ndarray:
    noise = s.noise(3.0)
    value = 1 + F(0.05) * noise[:, ROUGH] + F(0.03) * noise[:, FINE]
    paint = s.class_id == WORLD_ID['lane-marking']
    if paint.any():  # worn
        value[paint] *= np.clip(F(0.95) + F(0.18) * np.minimum(noise[paint, ROUGH] + F(0.6), 0), 0.45, 1)
    return _gray(value)


def _asphalt(s: Spots) -> np.ndarray:
    patches = s.noise(22.0)
    tracks = s.noise(9.0, squeeze=14.0)
    value = 1 + (F(0.08) + F(0.16) * s.variety) * s.grain(0.006)
    value += F(0.08) * patches[:, ROUGH] + F(0.06) * tracks[:, ROUGH]
    value *= 1 - F(0.3) * patches[:, RIDGE] * (patches[:, SOFT] > 0.2)
    mended = cell_random(np.floor(s.across / F(5.3)), np.floor(s.up / F(1.9)), 3)
    value *= 1 - F(0.22) * (mended < 0.05) + F(0.12) * (mended > 0.965)
    return _colored(value, F(0.02) * patches[:, SOFT])


def _paving(s: Spots) -> np.ndarray:
    small = s.class_id == WORLD_ID['parking']
    size = np.where(small, F(0.16) + F(0.1) * s.variety, F(0.3) + F(0.3) * s.variety)
    course = np.floor(s.up / size)
    place = s.across / (size * F(1.5)) + F(0.5) * np.mod(course, 2)
    slab = np.floor(place)
    edge = np.maximum(np.abs(place - slab - F(0.5)), np.abs(s.up / size - course - F(0.5)))
    sharp = s.grid_fade(0.25)
    joint = np.clip((edge * size - size * F(0.5) + F(0.014)) * F(120), 0, 1) * sharp
    stains = s.noise(12.0)
    value = 1 + F(0.2) * (cell_random(slab, course, 5) - F(0.5)) * sharp + F(0.09) * s.grain(0.005)
    value += F(0.08) * stains[:, ROUGH]
    return _colored(value * (1 - F(0.5) * joint), F(0.03) * stains[:, SOFT])


def _grass(s: Spots) -> np.ndarray:
    blades, clumps, patches = s.grain(0.012), s.noise(2.5), s.noise(11.0)
    value = 1 + F(0.32) * blades + F(0.15) * clumps[:, ROUGH] + F(0.14) * patches[:, ROUGH]
    return _colored(value, F(0.06) * patches[:, SOFT] + F(0.06) * clumps[:, ROUGH] + F(0.05) * blades)


def _plaster(s: Spots) -> np.ndarray:
    stains = s.noise(9.0)
    runs = lookup(s.across, s.up * F(0.15), 4.0)[:, ROUGH] * s.fade(0.1)
    value = 1 + F(0.04) * s.grain(0.01) + F(0.05) * stains[:, ROUGH] + F(0.04) * runs
    return _colored(value, F(0.015) * stains[:, SOFT])


def _brick(s: Spots) -> np.ndarray:
    course = np.floor(s.up / F(0.077))
    place = s.across / F(0.25) + F(0.5) * np.mod(course, 2)
    brick = np.floor(place)
    sharp = s.grid_fade(0.07)
    mortar = (np.abs(place - brick - F(0.5)) > F(0.478)) | (np.abs(s.up / F(0.077) - course - F(0.5)) > F(0.42))
    value = 1 + F(0.45) * (cell_random(brick, course, 7) - F(0.5)) * sharp + F(0.06) * s.noise(8.0)[:, ROUGH]
    warm = F(0.1) * (cell_random(brick, course, 8) - F(0.5)) * sharp
    return _colored(value * (1 + F(0.45) * mortar * sharp), warm)


def _window(s: Spots) -> np.ndarray:
    """What is dimly seen through a pane: dark rooms and seats."""
    room = s.class_id == WORLD_ID['building']
    noise = lookup(s.across + s.variety * F(97), s.up * F(0.7), 14.0)
    return _gray(F(0.35) + F(0.4) * room + (F(0.07) + F(0.2) * room) * noise[:, ROUGH])


def _leaves(s: Spots) -> np.ndarray:
    card = cell_random(s.normal[:, 0] * F(4096), s.normal[:, 1] * F(4096), 9)
    clumps = s.noise(7.0)
    value = F(0.7) + F(0.6) * card + F(0.35) * s.grain(0.02) + F(0.12) * clumps[:, ROUGH]
    return _colored(value, F(0.22) * (card - F(0.4)) + F(0.08) * clumps[:, SOFT])


def _bark(s: Spots) -> np.ndarray:
    noise = lookup(s.across * F(5), s.up, 1.5)
    return _gray(1 + (F(0.25) * noise[:, ROUGH] + F(0.15) * noise[:, FINE]) * s.fade(0.02))


def _wood(s: Spots) -> np.ndarray:
    board = np.floor(s.across / F(0.14))
    inside = np.abs(s.across / F(0.14) - board - F(0.5))
    sharp = s.grid_fade(0.1)
    grain = lookup(s.across * F(6) + board, s.up, 2.0)[:, ROUGH] * s.fade(0.03)
    value = 1 + F(0.35) * (cell_random(board, board, 11) - F(0.5)) * sharp + F(0.1) * grain
    return _colored(value * (1 - F(0.7) * (inside > F(0.45)) * sharp), F(0.04) * grain)


def _paint(s: Spots) -> np.ndarray:
    dirt = s.noise(4.0)
    return _gray(1 + F(0.03) * dirt[:, ROUGH])


def _cloth(s: Spots) -> np.ndarray:
    folds = lookup(s.across * F(2), s.up, 1.6)
    return _gray(1 + (F(0.18) * folds[:, ROUGH] + F(0.12) * folds[:, SOFT]) * s.fade(0.05))


def _sign(s: Spots) -> np.ndarray:
    return _gray(1 + F(0.03) * s.noise(2.0)[:, ROUGH])


def _gravel(s: Spots) -> np.ndarray:
    stones, patches = s.grain(0.012), s.noise(10.0)
    value = 1 + F(0.28) * stones + F(0.12) * patches[:, ROUGH]
    return _colored(value, F(0.04) * stones)


def _roof(s: Spots) -> np.ndarray:
    course, column = np.floor(s.up / F(0.24)), np.floor(s.across / F(0.23))
    sharp = s.grid_fade(0.2)
    lip = (s.up / F(0.24) - course) < F(0.2)
    curve = np.cos((s.across / F(0.23) - column - F(0.5)) * F(2 * np.pi))
    value = 1 + sharp * (F(0.25) * (cell_random(column, course, 13) - F(0.5)) + F(0.1) * curve - F(0.3) * lip)
    return _colored(value + F(0.1) * s.noise(7.0)[:, ROUGH], F(0.03) * curve * sharp)


_TINTS = {
    Texture.ASPHALT: _asphalt, Texture.PAVING: _paving, Texture.GRASS: _grass, Texture.PLASTER: _plaster,
    Texture.BRICK: _brick, Texture.WINDOW: _window, Texture.LEAVES: _leaves, Texture.BARK: _bark,
    Texture.WOOD: _wood, Texture.PAINT: _paint, Texture.CLOTH: _cloth, Texture.SIGN: _sign,
    Texture.GRAVEL: _gravel, Texture.ROOF: _roof,
}
