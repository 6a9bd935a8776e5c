"""Sweeps as data sets publish them: every point moved to where the sensor was at one moment."""

from __future__ import annotations

import cv2
import numpy as np

from training.world.lidar import pose_along
from training.world.sweep import SyntheticSweep


def pose_at(sweep: SyntheticSweep, share: float) -> np.ndarray:
    """LiDAR pose, float64 [4, 4], ``share`` (0..1) of the way through a sweep: a constant twist."""
    start, end = sweep.T_world_lidar, sweep.T_world_lidar_end
    turn, _ = cv2.Rodrigues(start[:3, :3].T @ end[:3, :3])
    T = np.eye(4)
    T[:3, :3] = start[:3, :3] @ cv2.Rodrigues(share * turn)[0]
    T[:3, 3] = start[:3, 3] + share * (end[:3, 3] - start[:3, 3])
    return T


def world_points(sweep: SyntheticSweep, period: float) -> np.ndarray:
    """Where each measured point lies in the world, float64 [N, 3]; ``period`` seconds per turn of the LiDAR."""
    cloud = sweep.frame.cloud
    time = np.zeros(len(cloud), np.float32) if cloud.time is None else cloud.time
    rotation, origin = pose_along(sweep.T_world_lidar, sweep.T_world_lidar_end, time / np.float32(period))
    return np.einsum('nij,nj->ni', rotation.astype(np.float64), cloud.xyz) + origin


def compensated(sweep: SyntheticSweep, period: float, share: float) -> tuple[np.ndarray, np.ndarray]:
    """The points free of the sensor's own motion: (xyz float32 [N, 3] in the LiDAR frame, T_world_lidar there), both as
    of ``share`` (0..1) of the way through the sweep. What moves by itself stays where it was measured."""
    T = pose_at(sweep, share)
    return ((world_points(sweep, period) - T[:3, 3]) @ T[:3, :3]).astype(np.float32), T
