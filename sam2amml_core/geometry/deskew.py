"""Points measured one after the other by a moving LiDAR, as it would have measured them all at one time."""

from __future__ import annotations

from math import factorial

import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.geometry.twist import hat

EXACT_TO = 1e-5
"""The series is long enough that what it leaves out is below this share of the distance."""


def deskew(xyz: np.ndarray, seconds: np.ndarray, twist: np.ndarray) -> np.ndarray:
    """Points float32 [N, 3], each in the LiDAR's frame at its own time, in its frame at time 0.

    seconds  float32 [N], when each was measured, before or after the time wanted
    twist    float64 [6], velocity of the LiDAR in its own frame, m/s and rad/s, constant over the sweep

    p0 = exp(t A) p = sum over n of t^n / n! A^n p, with A the 4x4 matrix of the twist, by Horner's scheme. All A^n p
    come from one matrix product; the sum ends where a sweep's turn no longer needs more.
    Raises InputError when there is not one time for each point.
    """
    if seconds.shape != (len(xyz),):
        raise InputError(f'{len(xyz)} points have times of shape {seconds.shape}; give one for each point')
    A = np.zeros((4, 4))
    A[:3, :3], A[:3, 3] = hat(twist[3:]), twist[:3]
    reach = float(np.fmax.reduce(np.abs(seconds), initial=0.0)) * float(np.linalg.norm(twist[3:]))
    order = next((n for n in range(2, 20) if reach ** (n + 1) / factorial(n + 1) < EXACT_TO), 20)
    rows = np.concatenate([np.linalg.matrix_power(A, n)[:3] / factorial(n) for n in range(1, order + 1)])
    homogeneous = np.empty((4, len(xyz)), np.float32)
    homogeneous[:3] = xyz.T
    homogeneous[3] = 1
    with np.errstate(invalid='ignore', over='ignore'):
        terms = (rows.astype(np.float32) @ homogeneous).reshape(order, 3, len(xyz))
        time = seconds.astype(np.float32, copy=False)
        total = terms[-1]
        for term in terms[-2::-1]:
            total *= time
            total += term
        total *= time
        total += homogeneous[:3]
    return np.ascontiguousarray(total.T)
