"""Rigid transforms: 4x4 float64, ``T_a_b`` maps points in b to a; quaternions are x, y, z, w as in ROS."""

from __future__ import annotations

from functools import reduce

import numpy as np

from sam2amml_core.errors import InputError

OPTICAL_FROM_BODY = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], np.float64)
"""T_optical_body: a camera body (x forward, y left, z up) to its optical frame (z forward, x right, y down)."""


def transform(rotation: np.ndarray, translation: np.ndarray) -> np.ndarray:
    """4x4 from a rotation matrix [3, 3] and a translation [3] in metres."""
    result = np.eye(4)
    result[:3, :3] = rotation
    result[:3, 3] = translation
    return result


def invert(pose: np.ndarray) -> np.ndarray:
    """The inverse of a rigid transform [4, 4]."""
    rotation = pose[:3, :3].T
    return transform(rotation, -rotation @ pose[:3, 3])


def compose(*poses: np.ndarray) -> np.ndarray:
    """``compose(T_a_b, T_b_c)`` is T_a_c; float64."""
    return reduce(np.matmul, (np.asarray(pose, np.float64) for pose in poses), np.eye(4))


def apply(pose: np.ndarray, xyz: np.ndarray) -> np.ndarray:
    """Points [N, 3] moved by a transform; computed in float64, returned in their own type."""
    return (xyz.astype(np.float64) @ pose[:3, :3].T + pose[:3, 3]).astype(xyz.dtype)


def quaternion_to_matrix(quaternion: np.ndarray) -> np.ndarray:
    """Rotation [3, 3] of a quaternion (x, y, z, w), normalised first. Raises InputError when it is zero or not finite.
    """
    q = np.asarray(quaternion, np.float64)
    if q.shape != (4,):
        raise InputError(f'quaternion has shape {q.shape}; give x, y, z, w')
    norm = float(np.linalg.norm(q))
    if not 1e-6 < norm < np.inf:
        raise InputError(f'quaternion {q.tolist()} has length {norm:g}; a rotation has length 1')
    x, y, z, w = q / norm
    return np.array([[1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                     [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                     [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)]])


def matrix_to_quaternion(rotation: np.ndarray) -> np.ndarray:
    """Quaternion (x, y, z, w), w >= 0, of a rotation [3, 3]: the eigenvector of the largest eigenvalue of Bar-Itzhack's
    symmetric 4x4 matrix (J. Guidance 23(6), 2000), which is sound for every angle."""
    r = np.asarray(rotation, np.float64)[:3, :3]
    k = np.array([
        [r[0, 0] - r[1, 1] - r[2, 2], r[1, 0] + r[0, 1], r[2, 0] + r[0, 2], r[2, 1] - r[1, 2]],
        [r[1, 0] + r[0, 1], r[1, 1] - r[0, 0] - r[2, 2], r[2, 1] + r[1, 2], r[0, 2] - r[2, 0]],
        [r[2, 0] + r[0, 2], r[2, 1] + r[1, 2], r[2, 2] - r[0, 0] - r[1, 1], r[1, 0] - r[0, 1]],
        [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], r[0, 0] + r[1, 1] + r[2, 2]]])
    quaternion = np.linalg.eigh(k)[1][:, -1]
    return -quaternion if quaternion[3] < 0 else quaternion


def check_rigid(pose: np.ndarray, what: str, tolerance: float = 1e-3) -> np.ndarray:
    """The pose as float64 [4, 4], if its rotation is one and its last row 0 0 0 1; else InputError naming ``what``."""
    pose = np.asarray(pose, np.float64)
    if pose.shape != (4, 4):
        raise InputError(f'{what} has shape {pose.shape}; give 4x4')
    if not np.isfinite(pose).all():
        raise InputError(f'{what} holds values that are not finite')
    if np.abs(pose[3] - (0, 0, 0, 1)).max() > tolerance:
        raise InputError(f'{what} has the last row {pose[3].tolist()}; it must be 0 0 0 1 (is the matrix transposed?)')
    rotation = pose[:3, :3]
    if np.abs(rotation @ rotation.T - np.eye(3)).max() > tolerance or np.linalg.det(rotation) < 0:
        raise InputError(f'{what} is no rigid transform: its 3x3 part must be a rotation (orthonormal, determinant 1)')
    return pose
