"""Point clouds in the raw float32 files of KITTI (N x 4) and nuScenes (N x 5)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.frame import PointCloud
from sam2amml_core.io.pointcloud2 import scale_intensity

FARTHEST_M = 1e4
"""Coordinates beyond this are taken as bytes read in the wrong order."""


def read_cloud(path: Path, stamp_ns: int = 0) -> PointCloud:
    """A sweep from ``*.pcd.bin`` (nuScenes) or ``*.bin`` (KITTI). Raises InputError."""
    return (read_nuscenes_bin if str(path).endswith('.pcd.bin') else read_kitti_bin)(path, stamp_ns)


def read_kitti_bin(path: Path, stamp_ns: int = 0) -> PointCloud:
    """N x 4 float32, x y z remission: KITTI, SemanticKITTI. Remission over 1 is taken as 0..255 and scaled.

    Raises InputError for a missing, empty, truncated, big-endian or all-NaN file.
    """
    values = read_floats(path, 4)
    return PointCloud(np.ascontiguousarray(values[:, :3]), scale_intensity(values[:, 3]), stamp_ns=stamp_ns)


def read_nuscenes_bin(path: Path, stamp_ns: int = 0) -> PointCloud:
    """N x 5 float32, x y z intensity (0..255) ring: nuScenes. The axes stay those of the file.

    Raises InputError as ``read_kitti_bin``, and when the last column cannot be a ring.
    """
    values = read_floats(path, 5)
    ring = values[:, 4]
    if not ((ring >= 0) & (ring < 1024) & (ring == np.floor(ring))).all():
        raise InputError(f'cloud {path}: column 5 is no ring index, so the file is not N x 5 (x y z intensity ring) '
                         'float32; a file of N x 4 must be named .bin, not .pcd.bin')
    return PointCloud(np.ascontiguousarray(values[:, :3]), scale_intensity(values[:, 3], 255.0), None,
                      ring.astype(np.uint16), stamp_ns)


def read_floats(path: Path, columns: int) -> np.ndarray:
    """float32 [N, columns] of a headerless little-endian file, checked. Raises InputError."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f'cloud {path} cannot be read: {error.strerror}') from error
    if not data:
        raise InputError(f'cloud {path} is empty (0 bytes); record or copy it again')
    if len(data) % (4 * columns):
        other = 9 - columns
        hint = f' (but of {other} columns: is it of the other dataset?)' if len(data) % (4 * other) == 0 else ''
        raise InputError(f'cloud {path} has {len(data)} bytes, not a multiple of {4 * columns} ({columns} float32 a '
                         f'point){hint}; it is truncated or of another format, copy it again')
    values = np.frombuffer(data, '<f4').reshape(-1, columns).astype(np.float32, copy=False)
    sample = values[:: max(1, len(values) // 2000), :3]
    if not _plausible(sample) and _plausible(sample.byteswap()):
        raise InputError(f'cloud {path} seems to be big-endian: its coordinates make sense only with bytes swapped; '
                         "write it little-endian (numpy dtype '<f4')")
    if not np.isfinite(values[:, :3]).all(axis=1).any():
        raise InputError(f'cloud {path} holds no finite point; record or copy it again')
    return values


def _plausible(xyz: np.ndarray) -> bool:
    """Nearly all finite coordinates are those of a LiDAR: below 10 km and not vanishingly small."""
    finite = np.abs(xyz[np.isfinite(xyz)])
    if not finite.size:
        return False
    return bool(np.mean((finite < FARTHEST_M) & ((finite == 0) | (finite > 1e-12))) > 0.99)
