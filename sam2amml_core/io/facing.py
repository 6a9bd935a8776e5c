"""nuScenes LiDAR frames have x to the right and y forward; the networks here see x forward, y left (REP-103)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sam2amml_core.frame import PointCloud


def forward_rotation(T_ego_lidar: np.ndarray) -> np.ndarray:
    """The turn about z by a multiple of 90 degrees, float64 [3, 3], that brings the LiDAR's x axis nearest forward."""
    yaw = np.arctan2(T_ego_lidar[1, 0], T_ego_lidar[0, 0])
    quarter = int(np.rint(yaw / (np.pi / 2))) % 4
    cosine, sine = ((1, 0), (0, 1), (-1, 0), (0, -1))[quarter]
    return np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]], np.float64)


def face_forward(cloud: PointCloud, turn: np.ndarray) -> PointCloud:
    """The cloud turned by ``forward_rotation``; quarter turns are exact in float32."""
    if np.array_equal(turn, np.eye(3)):
        return cloud
    return replace(cloud, xyz=cloud.xyz @ turn.T.astype(np.float32))
