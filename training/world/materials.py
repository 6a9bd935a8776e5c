"""The palette of surfaces from which a street draws: colours for cameras, 905 nm reflectances for the LiDAR."""

from __future__ import annotations

import numpy as np

from training.world.classes import WORLD_ID
from training.world.scene import Material, Texture

# (typical reflectance as a spinning LiDAR reports it, spread of it between instances, texture)
_SURFACES: dict[str, tuple[float, float, Texture]] = {
    'road': (0.41, 0.06, Texture.ASPHALT),
    'lane-marking': (0.75, 0.15, Texture.PLAIN),
    'parking': (0.46, 0.07, Texture.PAVING),
    'sidewalk': (0.47, 0.07, Texture.PAVING),
    'other-ground': (0.44, 0.08, Texture.GRAVEL),
    'terrain': (0.42, 0.08, Texture.GRASS),
    'building': (0.54, 0.15, Texture.PLASTER),
    'fence': (0.36, 0.12, Texture.WOOD),
    'other-structure': (0.40, 0.10, Texture.PLASTER),
    'vegetation': (0.44, 0.09, Texture.LEAVES),
    'trunk': (0.36, 0.10, Texture.BARK),
    'pole': (0.25, 0.15, Texture.PLAIN),
    'traffic-sign': (0.55, 0.4, Texture.SIGN),
    'other-object': (0.35, 0.20, Texture.PLAIN),
    'barrier': (0.45, 0.12, Texture.PLAIN),
    'traffic-cone': (0.9, 0.30, Texture.PLAIN),
    'person': (0.30, 0.14, Texture.CLOTH),
    'bicyclist': (0.30, 0.14, Texture.CLOTH),
    'motorcyclist': (0.28, 0.14, Texture.CLOTH),
}
_METAL = (0.17, 0.16, Texture.PAINT)

_COLORS: dict[str, tuple[tuple[float, float, float], ...]] = {
    'road': ((0.11, 0.11, 0.115), (0.16, 0.16, 0.16), (0.20, 0.19, 0.185)),
    'lane-marking': ((0.75, 0.75, 0.72),),
    'parking': ((0.20, 0.18, 0.17), (0.27, 0.25, 0.23), (0.14, 0.14, 0.14)),
    'sidewalk': ((0.33, 0.31, 0.29), (0.40, 0.38, 0.35), (0.34, 0.27, 0.24)),
    'other-ground': ((0.30, 0.27, 0.22), (0.25, 0.24, 0.23)),
    'terrain': ((0.13, 0.18, 0.06), (0.18, 0.20, 0.09), (0.22, 0.20, 0.12)),
    'building': ((0.62, 0.56, 0.44), (0.70, 0.68, 0.63), (0.48, 0.25, 0.17), (0.55, 0.42, 0.30), (0.45, 0.47, 0.48)),
    'fence': ((0.30, 0.19, 0.10), (0.55, 0.55, 0.53), (0.09, 0.16, 0.09), (0.20, 0.20, 0.20)),
    'other-structure': ((0.45, 0.44, 0.42),),
    'vegetation': ((0.07, 0.13, 0.04), (0.11, 0.17, 0.05), (0.16, 0.18, 0.06), (0.06, 0.10, 0.045)),
    'trunk': ((0.14, 0.10, 0.07), (0.22, 0.19, 0.15)),
    'pole': ((0.35, 0.36, 0.36), (0.16, 0.18, 0.17), (0.50, 0.50, 0.50)),
    'traffic-sign': ((0.75, 0.08, 0.07), (0.08, 0.17, 0.60), (0.85, 0.85, 0.85), (0.85, 0.65, 0.05)),
    'other-object': ((0.10, 0.10, 0.10), (0.10, 0.20, 0.10), (0.35, 0.33, 0.30), (0.45, 0.15, 0.10)),
    'barrier': ((0.60, 0.60, 0.58), (0.75, 0.20, 0.10)),
    'traffic-cone': ((0.85, 0.25, 0.05),),
}
_PAINTS = ((0.02, 0.02, 0.022), (0.05, 0.05, 0.055), (0.30, 0.31, 0.32), (0.12, 0.125, 0.13), (0.75, 0.75, 0.74),
           (0.04, 0.07, 0.22), (0.40, 0.03, 0.03), (0.03, 0.12, 0.06), (0.35, 0.28, 0.16))
_CLOTHES = ((0.05, 0.05, 0.07), (0.08, 0.11, 0.25), (0.45, 0.08, 0.07), (0.55, 0.52, 0.45), (0.10, 0.22, 0.10),
            (0.60, 0.60, 0.62), (0.35, 0.22, 0.12))
_BLACK_CARS = 0.45  # share of paints that return almost nothing at 905 nm


class Palette:
    """Collects the materials of one street; ``list`` is what meshes' material indices point into."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self.list: list[Material] = []

    def add(self, material: Material) -> int:
        """The index of ``material``, which it appends."""
        self.list.append(material)
        return len(self.list) - 1

    def surface(
        self,
        name: str,
        texture: Texture | None = None,
        reflectance: float | None = None,
        color: tuple[float, float, float] | None = None,
    ) -> int:
        """A new variation of the class's usual surface."""
        level, spread, usual = _SURFACES.get(name, _METAL)
        value = float(np.clip(self._rng.normal(level, spread), 0.02, 2.0)) if reflectance is None else reflectance
        if color is None:
            options = _COLORS.get(name) or (_CLOTHES if name in ('person', 'bicyclist', 'motorcyclist') else _PAINTS)
            color = options[self._rng.integers(len(options))]
        shade = self._rng.uniform(0.8, 1.2)
        red, green, blue = (float(np.clip(c * shade * self._rng.uniform(0.93, 1.07), 0.01, 0.95)) for c in color)
        return self.add(Material(WORLD_ID[name], value, (red, green, blue), usual if texture is None else texture))

    def paint(self, name: str) -> int:
        """A vehicle's body: many are nearly black to a LiDAR unless hit square on."""
        dark = self._rng.random() < _BLACK_CARS
        color = _PAINTS[self._rng.integers(4 if dark else len(_PAINTS))]
        level = self._rng.uniform(0.0, 0.06) if dark else self._rng.uniform(0.12, 0.55)
        return self.surface(name, Texture.PAINT, reflectance=float(level), color=color)

    def glass(self, name: str) -> int:
        """Windows of a vehicle or a building: most pulses are lost."""
        tint = float(self._rng.uniform(0.03, 0.09))
        return self.add(Material(WORLD_ID[name], 0.06, (tint, tint, tint * 1.1), Texture.WINDOW,
                                 float(self._rng.uniform(0.5, 0.9))))

    def tyre(self, name: str) -> int:
        """Black rubber."""
        return self.add(Material(WORLD_ID[name], 0.05, (0.02, 0.02, 0.02), Texture.TYRE))

    def plate(self, name: str) -> int:
        """A retro-reflector: number plates."""
        return self.add(Material(WORLD_ID[name], 1.5, (0.7, 0.7, 0.65), Texture.PLAIN))

    def tail_lamp(self, name: str) -> int:
        """A retro-reflector behind red glass."""
        return self.add(Material(WORLD_ID[name], 1.5, (0.45, 0.03, 0.03), Texture.PAINT))
