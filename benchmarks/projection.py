"""Six cameras: ``project`` against the four-step chain of the nuScenes devkit, re-created from its description.

The four steps, once for each camera, in float64 on dense copies: LiDAR to vehicle at the sweep's stamp, vehicle to
world, world to vehicle at the image's stamp, vehicle to camera; then intrinsics on padded homogeneous points, division,
and the masks on depth and bounds (a margin of 1 px). Run: ``python benchmarks/projection.py [--points 120000]``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys

import numpy as np
from _timing import median_ms

from sam2amml_core.frame import Camera
from sam2amml_core.geometry.projection import Projection, project
from sam2amml_core.geometry.transforms import invert, quaternion_to_matrix, transform

ONE_THREAD = {'OMP_NUM_THREADS': '1', 'OPENBLAS_NUM_THREADS': '1', 'MKL_NUM_THREADS': '1'}
YAWS_DEG = (0, -55, 55, 180, 110, -110)
OPTICAL = np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]], np.float64)
INTRINSIC = np.array([[1266.4, 0, 816.3], [0, 1266.4, 491.5], [0, 0, 1]])
WIDTH, HEIGHT = 1600, 900


def yaw(degrees: float) -> np.ndarray:
    half = np.radians(degrees) / 2
    return quaternion_to_matrix(np.array([0, 0, np.sin(half), np.cos(half)]))


def make_rig() -> tuple[np.ndarray, np.ndarray, list[np.ndarray], list[np.ndarray]]:
    """T_ego_lidar, T_world_ego at the sweep, and for each camera T_world_ego at its image and T_ego_camera."""
    lidar = transform(yaw(-90), np.array([0.94, 0, 1.84]))
    ego = transform(yaw(110), np.array([411.3, 1180.9, 0]))
    later = [ego @ transform(yaw(0.1 * m), np.array([-0.08 * m, 0, 0])) for m in range(6)]
    cameras = [transform(yaw(angle) @ OPTICAL, np.array([1.2 * np.cos(np.radians(angle)), 0.5, 1.5]))
               for angle in YAWS_DEG]
    return lidar, ego, later, cameras


def make_sweep(points: int) -> np.ndarray:
    """Points all around, at the elevations of a spinning LiDAR on flat ground with walls, float32 [N, 3]."""
    random = np.random.default_rng(0)
    azimuth = random.uniform(0, 2 * np.pi, points)
    elevation = np.radians(random.uniform(-30, 10, points))
    wall = random.uniform(8, 60, points)
    ground = np.where(elevation < -0.03, 1.84 / np.maximum(np.tan(-elevation), 0.03), 60)
    reach = np.minimum(wall, ground)
    return np.stack((reach * np.cos(azimuth), reach * np.sin(azimuth), reach * np.tan(elevation)),
                    axis=1).astype(np.float32)


def four_steps(xyz: np.ndarray, lidar: np.ndarray, ego: np.ndarray, later: list[np.ndarray], cameras: list[np.ndarray]
               ) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(uv [N, 2], depth [N], inside [N]) for each camera."""
    def rotate(points: np.ndarray, rotation: np.ndarray) -> None:
        points[:3, :] = np.dot(rotation, points[:3, :])

    def translate(points: np.ndarray, offset: np.ndarray) -> None:
        for axis in range(3):
            points[axis, :] = points[axis, :] + offset[axis]

    result = []
    for ego_then, camera in zip(later, cameras, strict=True):
        points = np.array(xyz.T, np.float64)
        for pose in (lidar, ego):
            rotate(points, pose[:3, :3])
            translate(points, pose[:3, 3])
        for pose in (ego_then, camera):
            translate(points, -pose[:3, 3])
            rotate(points, pose[:3, :3].T)
        depth = points[2, :].copy()
        padded = np.eye(4)
        padded[:3, :3] = INTRINSIC
        homogeneous = np.dot(padded, np.concatenate((points, np.ones((1, points.shape[1])))))[:3, :]
        pixels = homogeneous / homogeneous[2:3, :].repeat(3, 0).reshape(3, points.shape[1])
        mask = np.ones(len(depth), bool)
        mask = np.logical_and(mask, depth > 1.0)
        mask = np.logical_and(mask, pixels[0, :] > 1)
        mask = np.logical_and(mask, pixels[0, :] < WIDTH - 1)
        mask = np.logical_and(mask, pixels[1, :] > 1)
        mask = np.logical_and(mask, pixels[1, :] < HEIGHT - 1)
        result.append((pixels[:2].T, depth, mask))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--points', type=int, default=35_000)
    parser.add_argument('--repeats', type=int, default=15)
    options = parser.parse_args()
    if any(os.environ.get(name) != value for name, value in ONE_THREAD.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ONE_THREAD})  # before numpy loads BLAS
    lidar, ego, later, poses = make_rig()
    xyz = make_sweep(options.points)
    projection = np.hstack((INTRINSIC, np.zeros((3, 1))))

    def ours() -> Projection:
        cameras = [Camera(f'camera{m}', WIDTH, HEIGHT, projection, invert(pose) @ invert(then) @ ego @ lidar)
                   for m, (then, pose) in enumerate(zip(later, poses, strict=True))]
        return project(xyz, cameras)

    result = ours()
    worst = 0.0
    for points, (uv, depth, inside) in zip(result, four_steps(xyz, lidar, ego, later, poses), strict=True):
        worst = max(worst, float(np.abs(points.uv - uv[points.index]).max()))
        missing = np.setdiff1d(np.flatnonzero(inside), points.index)
        if len(missing):
            raise SystemExit(f'{len(missing)} points of the reference are missing, depths {depth[missing][:5]}')
    mine = median_ms(ours, options.repeats)
    peer = median_ms(lambda: four_steps(xyz, lidar, ego, later, poses), options.repeats)
    print(f'{options.points} points, 6 cameras: largest difference {worst:.1e} px')
    print(json.dumps({'name': 'projection', 'ours': round(mine, 3), 'peer': round(peer, 3),
                      'ratio': round(peer / mine, 2), 'unit': 'ms', 'n': options.points, 'threads': 1}))


if __name__ == '__main__':
    main()
