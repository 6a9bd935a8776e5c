"""Checks on T_camera_lidar that catch the mistakes people make with it."""

from __future__ import annotations

import logging

import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.geometry.transforms import check_rigid

logger = logging.getLogger(__name__)

ALIGNED = 0.85
"""Cosine above which an axis counts as pointing along another (32 degrees)."""


def check_extrinsics(name: str, T_camera_lidar: np.ndarray) -> np.ndarray:
    """The pose as float64 [4, 4], if it is rigid and leads to an *optical* frame (z forward, x right, y down).

    In an optical frame of a camera on a vehicle the LiDAR's up axis is roughly -y. If it is +z instead, the pose is
    that of the camera's body frame (x forward, z up): InputError with the remedy. If it is +x, the pose may have been
    given in the wrong direction: warned only, a camera mounted on its side looks the same.
    """
    pose = check_rigid(T_camera_lidar, f'camera {name}: T_camera_lidar')
    up = pose[:3, 2]
    if up[2] > ALIGNED:
        raise InputError(
            f'camera {name}: T_camera_lidar leads to a frame whose z axis points up, so it is the camera body frame '
            '(x forward, y left, z up); give the optical frame (z forward, x right, y down): multiply from the left by '
            '[[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]]')
    if up[0] > ALIGNED:
        logger.warning("camera %s: the image's right points up to the sky; if the camera is not mounted on its side, "
                       'T_camera_lidar was given the wrong way round (it must map LiDAR points to the camera)', name)
    return pose
