"""The weather: how much light comes from the sun and from the sky, and what the sky and the far horizon look like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.world.noise import ROUGH, SOFT, lookup

_ZENITH = np.array([0.20, 0.36, 0.70], np.float32)
_HORIZON = np.array([0.72, 0.82, 0.95], np.float32)
_CLOUD = np.array([1.05, 1.05, 1.07], np.float32)
_FAR = np.array([0.13, 0.16, 0.12], np.float32)  # woods and roofs beyond the end of the street


@dataclass(frozen=True)
class Weather:
    """Light outdoors; a white, level surface in full light has radiance 1.

    sun     share of that light which comes straight from the sun, 0 = overcast
    clouds  share of the sky covered, 0..1
    haze    extinction, 1/m
    warmth  of the sunlight, 0 = white
    place   where in the noise the clouds lie, so that skies differ
    """

    sun: float = 0.7
    clouds: float = 0.4
    haze: float = 1 / 1200
    warmth: float = 0.1
    place: float = 0.0

    @staticmethod
    def draw(rng: np.random.Generator) -> Weather:
        """Some day: mostly sunny, every third overcast."""
        overcast = rng.random() < 0.3
        sun = rng.uniform(0.0, 0.25) if overcast else rng.uniform(0.72, 0.92)
        clouds = rng.uniform(0.75, 1.0) if overcast else rng.uniform(0.05, 0.7)
        return Weather(float(sun), float(clouds), float(1 / rng.uniform(500, 3000)), float(rng.uniform(0.02, 0.2)),
                       float(rng.uniform(0, 1000)))

    def sunlight(self) -> np.ndarray:
        """float32 [3], RGB light of the sun on a surface square to it, were it overhead."""
        return np.array([1, 1 - 0.4 * self.warmth, 1 - self.warmth], np.float32) * np.float32(self.sun)

    def skylight(self) -> np.ndarray:
        """float32 [3], RGB light of the whole sky on a level surface."""
        blue = np.array([0.88, 1.0, 1.22], np.float32) if self.sun > 0.3 else np.array([0.99, 1.0, 1.02], np.float32)
        return blue * np.float32(1 - self.sun)


def sky(direction: np.ndarray, sun_direction: np.ndarray, weather: Weather, clouds: bool = True) -> np.ndarray:
    """Radiance float32 [R, 3] that arrives along unit directions [R, 3] from where no surface is."""
    up = direction[:, 2]
    height = np.clip(up, 0.0, 1.0)
    share = np.sqrt(height)[:, None]
    gloom = np.float32(0.35 + 0.65 * min(weather.sun / 0.5, 1.0))  # of the blue behind the clouds
    color = (_HORIZON + (_ZENITH - _HORIZON) * share) * gloom
    closed = np.float32(0.9 if weather.sun < 0.3 else 0.0)  # a gray lid above broken clouds
    cover: np.ndarray
    light: np.ndarray
    if clouds:
        reach = np.float32(60.0) / (height + np.float32(0.08))
        u, v = direction[:, 0] * reach + np.float32(weather.place), direction[:, 1] * reach
        noise = lookup(u, v, 900.0)
        puffs = noise[:, SOFT] * np.float32(0.75) + noise[:, ROUGH] * np.float32(0.4)
        edge = np.float32(1.1 - 2.2 * weather.clouds)
        cover = np.clip((puffs - edge) * np.float32(0.9), closed, 1)[:, None]
        shade = np.float32(0.92) + np.float32(0.07) * noise[:, ROUGH] + np.float32(0.07) * noise[:, SOFT]
        light = shade[:, None] * _CLOUD
    else:
        cover = np.full((1, 1), max(min(weather.clouds, 0.9), float(closed)), np.float32)
        light = _CLOUD * np.float32(0.92)
    color += (light - color) * cover
    glow = np.clip(direction @ sun_direction, 0, 1)
    color += (np.float32(1.2 * weather.sun) * (glow**48 + np.float32(0.25) * glow**6))[:, None]
    if weather.sun > 0.3:
        color += (np.float32(40.0) * (glow > np.float32(0.99996)))[:, None]
    return color


def horizon(direction: np.ndarray, color: np.ndarray, weather: Weather) -> None:
    """Paint hazy woods and roofs over the lowest part of the sky ``color`` [R, 3] seen along ``direction`` [R, 3]."""
    low = np.flatnonzero(direction[:, 2] < 0.06)
    if not len(low):
        return
    d = direction[low]
    bearing = np.arctan2(d[:, 1], d[:, 0]).astype(np.float32)
    outline = lookup(bearing, np.full_like(bearing, weather.place), 2 * np.pi / 2)
    top = np.float32(0.022) + np.float32(0.008) * outline[:, ROUGH] + np.float32(0.006) * outline[:, SOFT]
    hidden = np.clip((top - d[:, 2]) * np.float32(400), 0, 1)[:, None]
    veil = np.float32(np.exp(-180 * weather.haze))
    grain = lookup(bearing * np.float32(40), d[:, 2] * np.float32(40), 6.0)[:, ROUGH : ROUGH + 1]
    far = _FAR * (1 + np.float32(0.25) * grain) * veil + _HORIZON * np.float32(0.75) * (1 - veil)
    color[low] += (far - color[low]) * hidden
