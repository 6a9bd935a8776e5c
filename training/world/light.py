"""What light reaches a surface: that of the sun, of the open sky, and what the street throws back."""

from __future__ import annotations

import numpy as np

from training.world.scene import Hits, Scene, Texture
from training.world.sky import Weather

F = np.float32
_BOUNCE = np.array([0.20, 0.19, 0.16], np.float32)  # albedo of a street: light from where no sky is seen
_LEAF_GLOW = np.array([0.30, 0.36, 0.08], np.float32)  # sunlight through leaves
_STRIDE = 3  # the open sky is probed at every third pixel of every third row,
_PATTERN = 4  # along one of 4 x 4 directions, and averaged over 4 x 4 probes


def irradiance(
    scene: Scene,
    normal: np.ndarray,
    material: np.ndarray,
    position: np.ndarray,
    openness: np.ndarray,
    t: float,
    weather: Weather,
) -> tuple[np.ndarray, np.ndarray]:
    """Light float32 [N, 3] on surfaces at ``position`` [N, 3] in the world, and how much of the sun they see [N].

    ``normal`` float32 [N, 3] points to the viewer's side; ``material`` [N] indexes the scene's; ``openness`` [N] is
    the share of the half space above the surface through which nothing solid is seen.
    """
    leafy = np.array([m.texture is Texture.LEAVES for m in scene.materials])[material]
    facing = normal @ scene.sun_direction
    through = np.flatnonzero(leafy & (facing < 0))
    strength = np.clip(facing, 0, 1)
    sunlight = weather.sunlight() / max(float(scene.sun_direction[2]), 0.35)
    glow = np.clip(-facing[through], 0, 1)
    if weather.sun > 0.02:
        asked = np.flatnonzero((facing > 0) | leafy)
        start = position[asked] + normal[asked] * F(0.015)
        start += scene.sun_direction * F(0.02)
        shaded = np.zeros(len(normal), bool)
        shaded[asked] = scene.shaded(start, scene.sun_direction, t)
        strength[shaded] = 0
        glow[shaded[through]] = 0
    # Of the directions above a surface the share (1 + n_z) / 2 points to the sky, unless something stands there.
    sky_share = openness * (F(0.5) + F(0.5) * normal[:, 2])
    thrown = _BOUNCE * (weather.sunlight() * F(0.8) + weather.skylight())
    light = np.stack([strength, sky_share, 1 - sky_share], 1) @ np.stack([sunlight, weather.skylight(), thrown])
    light[through] += glow[:, None] * (sunlight * _LEAF_GLOW)
    return light, strength


def openness(
    scene: Scene, hits: Hits, directions: np.ndarray, origin: np.ndarray, shape: tuple[int, int], t: float
) -> np.ndarray:
    """Share of the half space above each surface from which light comes unhindered, float32 [H*W], cosine-weighted.

    ``hits`` are of rays from ``origin`` [3] in unit ``directions`` [H*W, 3] of an image of ``shape`` (H, W). Probes are
    few: each takes one of 16 directions, so that a probe and its neighbours on one surface together look all around.
    """
    height, width = shape
    rows, columns = np.arange(_STRIDE // 2, height, _STRIDE), np.arange(_STRIDE // 2, width, _STRIDE)
    probe = (rows[:, None] * width + columns[None, :]).ravel()
    small = (len(rows), len(columns))
    material = hits.material[probe]
    solid = np.flatnonzero(material >= 0)
    which = ((np.arange(small[0]) % _PATTERN)[:, None] * _PATTERN + (np.arange(small[1]) % _PATTERN)).ravel()[solid]
    normal = hits.normal[probe[solid]]
    free = np.ones(small[0] * small[1], np.float32)
    towards = _around(normal, which)
    start = directions[probe[solid]] * hits.distance[probe[solid], None] + origin.astype(np.float32)
    start += normal * F(0.02)
    free[solid] = ~scene.occluded(np.ascontiguousarray(start), np.ascontiguousarray(towards), t)
    smooth = _averaged(free.reshape(small), material.reshape(small), hits.distance[probe].reshape(small))
    return _spread(smooth, material.reshape(small), hits.material.reshape(shape)).ravel()


def _around(normal: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Of sixteen directions cosine-distributed about each normal [N, 3] the one asked for [N], float32 [N, 3]."""
    k = np.arange(_PATTERN**2)
    radius = np.sqrt((k + 0.5) / _PATTERN**2)
    angle = (k * 7 % 16) * 2.399963
    disc = np.stack([radius * np.cos(angle), radius * np.sin(angle), np.sqrt(1 - radius**2)], 1).astype(np.float32)
    # Duff et al. 2017, an orthonormal basis from a normal without branches.
    x, y, z = normal.T
    sign = np.where(z < 0, F(-1), F(1))
    a = -1 / (sign + z)
    b = x * y * a
    first = np.stack([1 + sign * x * x * a, sign * b, -sign * x], 1)
    second = np.stack([b, sign + y * y * a, -y], 1)
    u, v, w = disc[which].T[:, :, None]
    return np.asarray(u * first + v * second + w * normal, np.float32)


def _averaged(values: np.ndarray, material: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Mean over 4 x 4 probes of the same material at a like distance, float32 [h, w]."""
    total, weight = np.zeros_like(values), np.zeros_like(values)
    height, width = values.shape
    near = 1 / np.maximum(distance, F(0.1))
    for dy in range(-(_PATTERN // 2), _PATTERN - _PATTERN // 2):
        for dx in range(-(_PATTERN // 2), _PATTERN - _PATTERN // 2):
            here = np.s_[max(0, -dy) : height - max(0, dy), max(0, -dx) : width - max(0, dx)]
            there = np.s_[max(0, dy) : height + min(0, dy), max(0, dx) : width + min(0, dx)]
            like = (material[here] == material[there]) & (np.abs(near[here] - near[there]) < F(0.15) * near[here])
            total[here] += values[there] * like
            weight[here] += like
    return total / np.maximum(weight, 1)


def _spread(values: np.ndarray, coarse: np.ndarray, fine: np.ndarray) -> np.ndarray:
    """``values`` [h, w] at each pixel of ``fine`` [H, W]: of a probe nearby with the same material, if there is one."""
    height, width = fine.shape
    row, column = np.arange(height) // _STRIDE, np.arange(width) // _STRIDE
    row, column = np.minimum(row, values.shape[0] - 1), np.minimum(column, values.shape[1] - 1)
    result = values[row][:, column]
    y, x = np.nonzero(coarse[row][:, column] != fine)
    wanted = fine[y, x]
    for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        j = np.clip(row[y] + dy, 0, values.shape[0] - 1)
        i = np.clip(column[x] + dx, 0, values.shape[1] - 1)
        good = coarse[j, i] == wanted
        result[y[good], x[good]] = values[j[good], i[good]]
    return result
