"""What light reaches a surface: the sun where nothing stands before it, the sky, and what the ground throws back."""

from __future__ import annotations

import numpy as np

from training.world.scene import Scene, Texture
from training.world.sky import Weather

F = np.float32
_BOUNCE = np.array([0.20, 0.19, 0.16], np.float32)  # of the ground: light from below
_LEAF_GLOW = np.array([0.32, 0.36, 0.10], np.float32)  # sunlight through leaves


def irradiance(
    scene: Scene, normal: np.ndarray, material: np.ndarray, position: np.ndarray, t: float, weather: Weather
) -> tuple[np.ndarray, np.ndarray]:
    """Light float32 [N, 3] on surfaces at ``position`` [N, 3] in the world, and how much of the sun they see [N].

    ``normal`` float32 [N, 3] points to the viewer's side; ``material`` [N] indexes the scene's.
    """
    leafy = np.array([m.texture is Texture.LEAVES for m in scene.materials])[material]
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
    below = _BOUNCE * (weather.sunlight() * F(0.7) + weather.skylight())
    up = F(0.5) + F(0.5) * normal[:, 2]
    light = np.stack([strength, up, 1 - up], 1) @ np.stack([sunlight, weather.skylight(), below])
    if through.any():
        light[through] += sunlight * _LEAF_GLOW * np.clip(-facing[through], 0, 1)[:, None]
    return light, strength
