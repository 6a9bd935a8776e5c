"""Radiance of what rays met: albedo times light, reflections in paint and glass, and the air in between."""

from __future__ import annotations

import numpy as np

from training.world.bodies import BodyTable
from training.world.classes import WORLD_ID
from training.world.light import irradiance, openness
from training.world.noise import cell_random
from training.world.scene import Hits, Scene, Texture
from training.world.sky import Weather, horizon, sky
from training.world.textures import Spots, tint
from training.world.vehicle_details import paint_car, paint_wheels
from training.world.windows import paint_windows

F = np.float32
_GLOSS = {Texture.PAINT: 0.05, Texture.WINDOW: 0.06}  # reflectance square on
_TOWN = np.array([0.12, 0.12, 0.11], np.float32)  # what a street mirrors below the skyline


def radiance(
    scene: Scene,
    hits: Hits,
    directions: np.ndarray,
    origin: np.ndarray,
    shape: tuple[int, int],
    pixel_angle: float,
    t: float,
    weather: Weather,
) -> np.ndarray:
    """Linear RGB float32 [H*W, 3] along rays from ``origin`` [3] in unit ``directions`` [H*W, 3], which met ``hits``.

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
    rows, ends = _by_texture(scene, hits)
    if len(rows):
        color[rows] = _surfaces(scene, hits, directions, origin, shape, pixel_angle, t, weather, rows, ends)
    return color


def _by_texture(scene: Scene, hits: Hits) -> tuple[np.ndarray, np.ndarray]:
    """Rays that hit something, those of one texture together, and where in them texture k begins (``ends[k]``)."""
    kinds = np.array([255, *(int(m.texture) for m in scene.materials)], np.uint8)[hits.material + 1]
    order = np.argsort(kinds, kind='stable')
    ends = np.concatenate([[0], np.cumsum(np.bincount(kinds, minlength=256)[: len(Texture)])])
    return order[: ends[-1]], ends


def _surfaces(
    scene: Scene,
    hits: Hits,
    directions: np.ndarray,
    origin: np.ndarray,
    shape: tuple[int, int],
    pixel_angle: float,
    t: float,
    weather: Weather,
    rows: np.ndarray,
    ends: np.ndarray,
) -> np.ndarray:
    material, direction, distance = hits.material[rows], directions[rows], hits.distance[rows]
    position = direction * distance[:, None]
    position += origin.astype(np.float32)
    open_sky = openness(scene, hits, directions, origin, shape, t)[rows]
    albedo = np.array([m.color for m in scene.materials], np.float32)[material]
    normal = hits.normal[rows]
    cosine = -np.einsum('ij,ij->i', normal, direction)
    local, facing, known = hits.local[rows], normal.copy(), np.flatnonzero(hits.instance[rows])
    table = BodyTable(scene.bodies, [(a.instance, a.pose(t)) for a in scene.actors])
    local[known], facing[known] = table.own_frame(hits.instance[rows[known]], local[known], normal[known])
    pixel = distance * F(pixel_angle)
    _texture(scene, facing, local, material, cosine, pixel, ends, albedo)
    _details(scene, table, hits.instance[rows], facing, local, material, pixel, ends, albedo)
    glass = _panes(scene, hits.face[rows], material, position, pixel, cosine, ends, albedo)
    light, sunny = irradiance(scene, normal, material, position, open_sky, t, weather)
    albedo *= light
    for texture, gloss in _GLOSS.items():
        part = slice(ends[texture], ends[texture + 1])
        smooth = glass if texture is Texture.WINDOW else np.ones((), np.float32)
        _reflect(scene, gloss, smooth, normal[part], direction[part], cosine[part], sunny[part], weather, albedo[part])
    if weather.haze > 0:
        veil = 1 - np.exp(distance * F(-weather.haze))
        air = weather.sunlight() * F(0.45) + weather.skylight() * F(0.8)
        albedo += (air - albedo) * veil[:, None]
    return albedo


def _texture(
    scene: Scene,
    normal: np.ndarray,
    local: np.ndarray,
    material: np.ndarray,
    cosine: np.ndarray,
    pixel: np.ndarray,
    ends: np.ndarray,
    albedo: np.ndarray,
) -> None:
    """Multiply ``albedo`` [N, 3] by its materials' textures; ``pixel`` [N] metres is a pixel's size square on."""
    classes = np.array([m.class_id for m in scene.materials], np.uint8)[material]
    index = np.arange(len(scene.materials))
    variety = cell_random(index, index, 1)[material]
    slant = np.maximum(np.abs(cosine), F(0.02))
    x, y, z = local.T
    length = np.maximum(np.hypot(normal[:, 0], normal[:, 1]), F(1e-3))
    level = np.abs(normal[:, 2]) > 0.75
    across = np.where(level, x, (normal[:, 0] * y - normal[:, 1] * x) / length)
    up = np.where(level, y, z)
    stretch = pixel / slant
    mean = pixel / np.sqrt(slant)
    for texture in Texture:
        part = slice(ends[texture], ends[texture + 1])
        if ends[texture + 1] > ends[texture]:
            spots = Spots(across[part], up[part], normal[part], mean[part], stretch[part], variety[part], classes[part])
            albedo[part] *= tint(texture, spots)


def _details(
    scene: Scene,
    table: BodyTable,
    instance: np.ndarray,
    normal: np.ndarray,
    local: np.ndarray,
    material: np.ndarray,
    pixel: np.ndarray,
    ends: np.ndarray,
    albedo: np.ndarray,
) -> None:
    """Draw doors, lamps and rims on vehicles; positions and normals in their own frames."""
    classes = np.array([m.class_id for m in scene.materials], np.uint8)
    lamp = np.array([m.reflectance > 1 for m in scene.materials])
    body = np.arange(ends[Texture.PAINT], ends[Texture.PAINT + 1])
    body = body[(classes[material[body]] == WORLD_ID['car']) & ~lamp[material[body]] & (instance[body] > 0)]
    tyre = np.arange(ends[Texture.TYRE], ends[Texture.TYRE + 1])
    for texture, chosen in ((Texture.PAINT, body), (Texture.TYRE, tyre)):
        chosen = chosen[np.isin(instance[chosen], list(scene.bodies))]
        if not len(chosen):
            continue
        own = instance[chosen]
        variety = cell_random(own, own, 21)
        drawn = albedo[chosen]
        if texture is Texture.PAINT:
            paint_car(drawn, table, own, local[chosen], normal[chosen], pixel[chosen], variety)
        else:
            paint_wheels(drawn, table, own, local[chosen], normal[chosen], variety)
        albedo[chosen] = drawn


def _panes(
    scene: Scene,
    face: np.ndarray,
    material: np.ndarray,
    position: np.ndarray,
    pixel: np.ndarray,
    cosine: np.ndarray,
    ends: np.ndarray,
    albedo: np.ndarray,
) -> np.ndarray:
    """Draw the windows of buildings; returns how much of each spot with texture WINDOW is glass."""
    rows = np.arange(ends[Texture.WINDOW], ends[Texture.WINDOW + 1])
    glass = np.ones(len(rows), np.float32)
    classes = np.array([m.class_id for m in scene.materials], np.uint8)
    built = np.flatnonzero(classes[material[rows]] == WORLD_ID['building'])
    if len(built):
        rows = rows[built]
        wide = pixel[rows] / np.maximum(np.abs(cosine[rows]), F(0.1))
        own = material[rows]
        drawn = albedo[rows]
        glass[built] = paint_windows(
            drawn, scene.static_mesh, face[rows], position[rows], wide, cell_random(own, own, 23)
        )
        albedo[rows] = drawn
    return glass


def _reflect(
    scene: Scene,
    gloss: float,
    smooth: np.ndarray,
    normal: np.ndarray,
    direction: np.ndarray,
    cosine: np.ndarray,
    sunny: np.ndarray,
    weather: Weather,
    color: np.ndarray,
) -> None:
    """Add what a glossy surface mirrors to ``color`` [N, 3], by Schlick's approximation of Fresnel's law.

    ``gloss`` is its reflectance square on, ``smooth`` [N] or [] the share of it that mirrors, ``cosine`` [N] that
    between the ray back and the normal.
    """
    if not len(color):
        return
    share = smooth * (gloss + F(1 - gloss) * (1 - np.clip(cosine, 0, 1)) ** 5)
    mirrored = direction + (2 * cosine)[:, None] * normal
    around = sky(mirrored, scene.sun_direction, weather, clouds=False)
    bearing = np.floor(np.arctan2(mirrored[:, 1], mirrored[:, 0]) * F(9))
    skyline = F(0.12) + F(0.35) * cell_random(bearing, bearing, 17)
    town = np.clip((skyline - mirrored[:, 2]) * F(14), 0, 1)[:, None]
    around += (_TOWN * (F(0.6) + mirrored[:, 2:3].clip(-0.5, 1)) - around) * town
    gleam = np.clip(mirrored @ scene.sun_direction, 0, 1) ** 300 * (sunny > 0) * F(12 * weather.sun)
    color += (np.maximum(around, 0) + gleam[:, None]) * share[:, None]
