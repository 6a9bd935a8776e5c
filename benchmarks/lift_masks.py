"""Six id maps: ``point_mask_ids`` against a camera-by-camera loop over dense arrays as research code has it.

Both get the points' visibility beforehand; the peer lifts each camera on copies of the whole cloud and joins the
cameras by a vote over a stack [6, N]. The share of the visibility test is printed as well.
Run: ``python benchmarks/lift_masks.py [--points 120000]``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys

import numpy as np
from _timing import median_ms
from projection import INTRINSIC, ONE_THREAD, make_rig, make_sweep

from sam2amml_core.frame import Camera
from sam2amml_core.geometry.projection import project
from sam2amml_core.geometry.transforms import invert
from sam2amml_core.geometry.visibility import visible_points
from sam2amml_core.masks.lift import mask_offsets, point_mask_ids
from sam2amml_core.masks.mask_set import MaskSet, Provenance, make_mask_set

WIDTH, HEIGHT = 1600, 900


def dense_loop(xyz: np.ndarray, cameras: list[Camera], masks: list[MaskSet], seen: np.ndarray) -> np.ndarray:
    """int64 [N] by dense float64 arrays for each camera; a point takes the camera it is nearest to the middle of."""
    offsets = mask_offsets(masks)
    ids = np.zeros((len(cameras), len(xyz)), np.int64)
    margin = np.full((len(cameras), len(xyz)), -np.inf)
    padded = np.hstack((xyz.astype(np.float64), np.ones((len(xyz), 1))))
    for m, camera in enumerate(cameras):
        image = padded @ (camera.projection @ camera.T_camera_lidar).T
        with np.errstate(divide='ignore', invalid='ignore'):
            u, v = image[:, 0] / image[:, 2], image[:, 1] / image[:, 2]
        inside = (image[:, 2] > 0.5) & (u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height) & seen[m]
        rows = np.where(inside)[0]
        found = masks[m].id_map[np.floor(v[rows]).astype(int), np.floor(u[rows]).astype(int)].astype(np.int64)
        ids[m, rows] = np.where(found > 0, found + offsets[m], 0)
        edge = np.minimum(1 - np.abs(2 * u[rows] / camera.width - 1), 1 - np.abs(2 * v[rows] / camera.height - 1))
        margin[m, rows] = np.where(found > 0, edge, -np.inf)
    best = margin.argmax(axis=0)
    return ids[best, np.arange(len(xyz))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--points', type=int, default=120_000)
    parser.add_argument('--repeats', type=int, default=15)
    options = parser.parse_args()
    if any(os.environ.get(name) != value for name, value in ONE_THREAD.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ONE_THREAD})  # before numpy loads BLAS
    lidar, ego, later, poses = make_rig()
    matrix = np.hstack((INTRINSIC, np.zeros((3, 1))))
    cameras = [Camera(f'camera{m}', WIDTH, HEIGHT, matrix, invert(pose) @ invert(then) @ ego @ lidar)
               for m, (then, pose) in enumerate(zip(later, poses, strict=True))]
    xyz = make_sweep(options.points)
    rng = np.random.default_rng(0)
    maps = [make_mask_set(np.kron(rng.permutation(145)[:144].reshape(9, 16), np.ones((100, 100), int)),
                          Provenance('checkerboard')) for _ in cameras]
    projection = project(xyz, cameras)
    seen = [visible_points(points, camera) for points, camera in zip(projection, cameras, strict=True)]
    dense = np.zeros((len(cameras), len(xyz)), bool)
    for row, points, visible in zip(dense, projection, seen, strict=True):
        row[points.index] = visible
    mine = point_mask_ids(xyz, cameras, maps, seen=seen)
    differ = float((mine != dense_loop(xyz, cameras, maps, dense)).mean())
    if differ > 1e-3:
        raise SystemExit(f'{differ:.2%} of the points differ from the reference')
    ours = median_ms(lambda: point_mask_ids(xyz, cameras, maps, seen=seen), options.repeats)
    peer = median_ms(lambda: dense_loop(xyz, cameras, maps, dense), options.repeats)
    lookup = median_ms(lambda: point_mask_ids(xyz, cameras, maps, projection, seen), options.repeats)
    visibility = median_ms(lambda: [visible_points(p, c) for p, c in zip(projection, cameras, strict=True)], 3)
    print(f'{int((mine > 0).sum())} of {options.points} points in masks, {differ:.1e} differ; look-up alone '
          f'{lookup:.2f} ms, the visibility test would add {visibility:.0f} ms')
    print(json.dumps({'name': 'lift-masks', 'ours': round(ours, 2), 'peer': round(peer, 2),
                      'ratio': round(peer / ours, 2), 'unit': 'ms', 'n': options.points, 'threads': 1}))


if __name__ == '__main__':
    main()
