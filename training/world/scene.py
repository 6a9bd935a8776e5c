"""Triangles with materials, moving or not, and rays cast at them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np


class Texture(IntEnum):
    """How a material varies over its surface; drawn by the camera from a hit's ``local`` position."""

    PLAIN = 0
    ASPHALT = 1
    PAVING = 2  # slabs or cobbles
    GRASS = 3
    PLASTER = 4
    BRICK = 5
    WINDOW = 6
    LEAVES = 7
    BARK = 8
    WOOD = 9
    PAINT = 10  # vehicle paint
    CLOTH = 11
    SIGN = 12
    GRAVEL = 13
    ROOF = 14


@dataclass(frozen=True)
class Material:
    """One surface: its world class, its look in a camera and its look to a 905 nm LiDAR."""

    class_id: int
    reflectance: float  # 0..1 at normal incidence, 905 nm; > 1 for retro-reflectors
    color: tuple[float, float, float] = (0.5, 0.5, 0.5)  # linear RGB albedo
    texture: Texture = Texture.PLAIN
    transmission: float = 0.0  # share of LiDAR pulses that give no return (glass)


@dataclass(frozen=True, eq=False)
class Hits:
    """Where R rays ended.

    distance  float32 [R], metres along the unit direction; inf = nothing hit
    material  int32 [R], index into the scene's ``materials``; -1 = nothing hit
    instance  uint16 [R], 0 = none
    normal    float32 [R, 3], unit, world frame, turned towards the ray's origin
    local     float32 [R, 3], hit position in the hit object's own frame (world frame for the static scene): textures
              stick to moving objects
    """

    distance: np.ndarray
    material: np.ndarray
    instance: np.ndarray
    normal: np.ndarray
    local: np.ndarray
