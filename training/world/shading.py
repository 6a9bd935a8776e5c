"""Radiance of what rays met: albedo times light, reflections in paint and glass, and the air in between."""

from __future__ import annotations

import numpy as np

from training.world.light import irradiance
from training.world.noise import cell_random
from training.world.scene import Hits, Scene, Texture
from training.world.sky import Weather, horizon, sky
from training.world.textures import Spots, tint

F = np.float32
_GLOSS = {Texture.PAINT: 0.05, Texture.WINDOW: 0.10}  # reflectance square on
_TOWN = np.array([0.12, 0.12, 0.11], np.float32)  # what a street mirrors below the skyline


def radiance(
    scene: Scene, hits: Hits, directions: np.ndarray, origin: np.ndarray, pixel_angle: float, t: float, weather: Weather
) -> np.ndarray:
    """Linear RGB float32 [R, 3] along R rays from ``origin`` [3] in unit ``directions`` [R, 3], which met ``hits``.

    ``pixel_angle`` radians is what a pixel spans: details of textures smaller than that fade out.
    """
    color = np.empty((len(directions), 3), np.float32)
    missed = hits.material < 0
    seen = np.flatnonzero(missed)
    if len(seen):
        above = directions[seen]
        far = sky(above, scene.sun_direction, weather)
        horizon(above, far, weather)
        color[seen] = far
    rows = np.flatnonzero(~missed)
    if len(rows):
        color[rows] = _surfaces(scene, hits, directions, origin, pixel_angle, t, weather, rows)
    return color


def _surfaces(
    scene: Scene,
    hits: Hits,
    directions: np.ndarray,
    origin: np.ndarray,
    pixel_angle: float,
    t: float,
    weather: Weather,
    rows: np.ndarray,
) -> np.ndarray:
    material, direction, distance = hits.material[rows], directions[rows], hits.distance[rows]
    position = direction * distance[:, None]
    position += origin.astype(np.float32)
    albedo = np.array([m.color for m in scene.materials], np.float32)[material]
    _texture(scene, hits, rows, material, direction, distance, pixel_angle, albedo)
    light, sunny = irradiance(scene, hits, position, rows, t, weather)
    albedo *= light
    _reflect(scene, hits, rows, material, direction, sunny, weather, albedo)
    if weather.haze > 0:
        veil = 1 - np.exp(distance * F(-weather.haze))
        air = weather.sunlight() * F(0.45) + weather.skylight() * F(0.8)
        albedo += (air - albedo) * veil[:, None]
    return albedo


def _texture(
    scene: Scene,
    hits: Hits,
    rows: np.ndarray,
    material: np.ndarray,
    direction: np.ndarray,
    distance: np.ndarray,
    pixel_angle: float,
    albedo: np.ndarray,
) -> None:
    """Multiply ``albedo`` [N, 3] by its materials' textures."""
    kinds = np.array([int(m.texture) for m in scene.materials], np.uint8)[material]
    classes = np.array([m.class_id for m in scene.materials], np.uint8)
    index = np.arange(len(scene.materials))
    variety = cell_random(index, index, 1)
    order = np.argsort(kinds, kind='stable')
    ends = np.searchsorted(kinds[order], np.arange(len(Texture) + 1))
    for texture in Texture:
        chosen = order[ends[texture] : ends[texture + 1]]
        if not len(chosen):
            continue
        normal, local = hits.normal[rows[chosen]], hits.local[rows[chosen]]
        facing = np.abs(np.einsum('ij,ij->i', normal, direction[chosen]))
        pixel = distance[chosen] * F(pixel_angle)
        slant = np.maximum(facing, F(0.02))
        level = np.abs(normal[:, 2]) > 0.75
        length = np.maximum(np.hypot(normal[:, 0], normal[:, 1]), F(1e-3))
        along = (normal[:, 0] * local[:, 1] - normal[:, 1] * local[:, 0]) / length
        own = material[chosen]
        spots = Spots(
            across=np.where(level, local[:, 0], along),
            up=np.where(level, local[:, 1], local[:, 2]),
            normal=normal,
            pixel=pixel / np.sqrt(slant),
            stretch=pixel / slant,
            variety=variety[own],
            class_id=classes[own],
        )
        albedo[chosen] *= tint(texture, spots)


def _reflect(
    scene: Scene,
    hits: Hits,
    rows: np.ndarray,
    material: np.ndarray,
    direction: np.ndarray,
    sunny: np.ndarray,
    weather: Weather,
    color: np.ndarray,
) -> None:
    """Add what paint and glass mirror to ``color`` [N, 3], by Schlick's approximation of Fresnel's law."""
    gloss = np.array([_GLOSS.get(m.texture, 0.0) for m in scene.materials], np.float32)[material]
    shiny = np.flatnonzero(gloss > 0)
    if not len(shiny):
        return
    normal, incoming, base = hits.normal[rows[shiny]], direction[shiny], gloss[shiny]
    cosine = -np.einsum('ij,ij->i', normal, incoming)
    share = base + (1 - base) * (1 - np.clip(cosine, 0, 1)) ** 5
    mirrored = incoming + (2 * cosine)[:, None] * normal
    around = sky(mirrored, scene.sun_direction, weather, clouds=False)
    bearing = np.floor(np.arctan2(mirrored[:, 1], mirrored[:, 0]) * F(9))
    skyline = F(0.12) + F(0.35) * cell_random(bearing, bearing, 17)
    town = np.clip((skyline - mirrored[:, 2]) * F(14), 0, 1)[:, None]
    around += (_TOWN * (F(0.6) + mirrored[:, 2:3].clip(-0.5, 1)) - around) * town
    gleam = np.clip(mirrored @ scene.sun_direction, 0, 1) ** 300 * (sunny[shiny] > 0) * F(12 * weather.sun)
    color[shiny] += (np.maximum(around, 0) + gleam[:, None]) * share[:, None]
