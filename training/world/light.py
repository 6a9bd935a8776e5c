"""What light reaches a surface: the sun where nothing stands before it, the sky, and what the ground throws back."""

from __future__ import annotations

import numpy as np

from training.world.scene import Hits, Scene, Texture
from training.world.sky import Weather

F = np.float32
_BOUNCE = np.array([0.20, 0.19, 0.16], np.float32)  # of the ground: light from below
_LEAF_GLOW = np.array([0.32, 0.36, 0.10], np.float32)  # sunlight through leaves


def irradiance(
    scene: Scene, hits: Hits, position: np.ndarray, rows: np.ndarray, t: float, weather: Weather
) -> tuple[np.ndarray, np.ndarray]:
    """Light float32 [N, 3] on the surfaces hit by the rays ``rows`` [N], and how much of the sun they see [N].

    ``position`` float32 [N, 3] are the hits' places in the world.
    """
    normal = hits.normal[rows]
    leafy = np.array([m.texture is Texture.LEAVES for m in scene.materials])[hits.material[rows]]
    facing = normal @ scene.sun_direction
    through = leafy & (facing < 0)
    strength = np.clip(facing, 0, 1)
    if weather.sun > 0.02:
        asked = np.flatnonzero((facing > 0) | leafy)
        start = position[asked] + normal[asked] * F(0.015)
        start += scene.sun_direction * F(0.02)
        strength[asked[scene.occluded(start, scene.sun_direction, t)]] = 0
    # The sun's share refers to level ground, so a low sun lights walls more.
    sunlight = weather.sunlight() / max(float(scene.sun_direction[2]), 0.35)
    light = strength[:, None] * sunlight
    up = F(0.5) + F(0.5) * normal[:, 2:3]
    light += weather.skylight() * up
    light += (_BOUNCE * (weather.sunlight() * F(0.7) + weather.skylight())) * (1 - up)
    if through.any():
        light[through] += sunlight * _LEAF_GLOW * np.clip(-facing[through], 0, 1)[:, None]
    return light, strength
