"""Classes of the synthetic world and what they are called in SemanticKITTI and nuScenes (raw ids)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class WorldClass(NamedTuple):
    """One kind of surface or object; ids are positions in ``WORLD_CLASSES``."""

    name: str
    semantic_kitti: int  # raw id
    nuscenes: int  # raw lidarseg id
    movable: bool = False  # carries instance ids


WORLD_CLASSES: tuple[WorldClass, ...] = (
    WorldClass('nothing', 0, 0),
    WorldClass('road', 40, 24),
    WorldClass('lane-marking', 60, 24),
    WorldClass('parking', 44, 24),
    WorldClass('sidewalk', 48, 26),
    WorldClass('other-ground', 49, 25),
    WorldClass('terrain', 72, 27),
    WorldClass('building', 50, 28),
    WorldClass('fence', 51, 28),
    WorldClass('other-structure', 52, 28),
    WorldClass('vegetation', 70, 30),
    WorldClass('trunk', 71, 30),
    WorldClass('pole', 80, 28),
    WorldClass('traffic-sign', 81, 28),
    WorldClass('other-object', 99, 29),
    WorldClass('barrier', 99, 9),
    WorldClass('traffic-cone', 99, 12),
    WorldClass('car', 10, 17, True),
    WorldClass('truck', 18, 23, True),
    WorldClass('bus', 13, 16, True),
    WorldClass('trailer', 20, 22, True),
    WorldClass('construction-vehicle', 20, 18, True),
    WorldClass('bicycle', 11, 14, True),
    WorldClass('motorcycle', 15, 21, True),
    WorldClass('person', 30, 2, True),
    WorldClass('bicyclist', 31, 14, True),
    WorldClass('motorcyclist', 32, 21, True),
)

WORLD_ID: dict[str, int] = {c.name: i for i, c in enumerate(WORLD_CLASSES)}
"""World class id by name."""

SEMANTIC_KITTI_RAW = np.array([c.semantic_kitti for c in WORLD_CLASSES], np.uint32)
"""World class id -> SemanticKITTI raw id, uint32 [len(WORLD_CLASSES)]."""

NUSCENES_RAW = np.array([c.nuscenes for c in WORLD_CLASSES], np.uint8)
"""World class id -> nuScenes lidarseg raw id, uint8 [len(WORLD_CLASSES)]."""
