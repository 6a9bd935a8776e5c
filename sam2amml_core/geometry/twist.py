"""Rigid motion as a twist: float64 [6], linear then angular, as ``geometry_msgs/Twist`` has them; exp and log of SE(3).

A body that moves with a constant twist (its own velocity, in its own frame) for t seconds is at ``T exp(t twist)``.
"""

from __future__ import annotations

import numpy as np

from sam2amml_core.geometry.transforms import transform

SMALL = 1e-6
"""Angle in radians below which series take the place of quotients."""


def hat(w: np.ndarray) -> np.ndarray:
    """The matrix [3, 3] of the cross product with w [3]."""
    return np.array([[0, -w[2], w[1]], [w[2], 0, -w[0]], [-w[1], w[0], 0]], np.float64)


def exp(twist: np.ndarray) -> np.ndarray:
    """The transform [4, 4] of a twist [6] times one second (Rodrigues' formula)."""
    v, w = np.asarray(twist[:3], np.float64), np.asarray(twist[3:], np.float64)
    angle = float(np.linalg.norm(w))
    W = hat(w)
    if angle < SMALL:
        a, b, c = 1.0, 0.5, 1 / 6
    else:
        a, b, c = np.sin(angle) / angle, (1 - np.cos(angle)) / angle**2, (angle - np.sin(angle)) / angle**3
    return transform(np.eye(3) + a * W + b * W @ W, (np.eye(3) + b * W + c * W @ W) @ v)


def log(pose: np.ndarray) -> np.ndarray:
    """The twist [6] whose ``exp`` is a pose [4, 4] that turns by less than 180 degrees."""
    R, p = pose[:3, :3], pose[:3, 3]
    axis = 0.5 * np.array([R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]])
    sine, cosine = float(np.linalg.norm(axis)), 0.5 * (float(np.trace(R)) - 1)
    angle = float(np.arctan2(sine, cosine))
    w = axis if sine < SMALL else axis * (angle / sine)
    W = hat(w)
    c = 1 / 12 if angle < 1e-3 else (1 - angle * np.sin(angle) / (2 * (1 - np.cos(angle)))) / angle**2
    return np.concatenate(((np.eye(3) - 0.5 * W + c * W @ W) @ p, w))


def carried(twist: np.ndarray, T_a_b: np.ndarray) -> np.ndarray:
    """The twist [6] of frame a, seen in a, of a rigid body whose frame b has the twist given, seen in b."""
    v, w = twist[:3], twist[3:]
    turned = T_a_b[:3, :3] @ w
    return np.concatenate((T_a_b[:3, :3] @ v + np.cross(T_a_b[:3, 3], turned), turned))
