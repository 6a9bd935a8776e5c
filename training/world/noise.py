"""Random numbers that stay where they are: tileable noise looked up by position, and hashes of grid cells."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

SIZE = 512
"""Side of the noise atlas in texels; it repeats."""

FINE, ROUGH, SOFT, RIDGE = 0, 1, 2, 3
"""Channels of the atlas: nearly white, 1/f, slow blobs (each of mean 0 and deviation 1), and 1 on thin lines else 0."""

_ROW = 1024  # cv2.remap wants images, no side above 32,767


@lru_cache(maxsize=1)
def atlas() -> np.ndarray:
    """float32 [SIZE, SIZE, 4], the same in every process."""
    rng = np.random.default_rng(20)
    frequency = np.fft.fftfreq(SIZE)[:, None] ** 2 + np.fft.rfftfreq(SIZE)[None, :] ** 2
    frequency = np.sqrt(np.maximum(frequency, 1e-9))

    def colored(power: float, low: float, high: float) -> np.ndarray:
        spectrum = np.fft.rfft2(rng.standard_normal((SIZE, SIZE)))
        spectrum *= frequency**-power * (frequency > low) * np.exp(-((frequency / high) ** 2))
        field = np.fft.irfft2(spectrum, s=(SIZE, SIZE))
        return (field - field.mean()) / field.std()

    lines = np.clip(1 - np.abs(colored(1.6, 1.5 / SIZE, 0.2)) / 0.035, 0, 1)
    channels = [colored(0.25, 4 / SIZE, 0.45), colored(1.1, 1.5 / SIZE, 0.4), colored(2.0, 1.5 / SIZE, 0.15), lines]
    return np.ascontiguousarray(np.stack(channels, -1), np.float32)


def lookup(u: np.ndarray, v: np.ndarray, tile: float) -> np.ndarray:
    """Atlas values float32 [N, 4] at positions (u, v) [N] in metres, one repetition being ``tile`` metres wide."""
    count = len(u)
    padded = -(-max(count, 1) // _ROW) * _ROW
    maps = np.zeros((2, padded), np.float32)
    for row, position in zip(maps, (u, v), strict=True):
        np.multiply(position, np.float32(1 / tile), out=row[:count])
        row -= np.floor(row)
        row *= np.float32(SIZE)
    shape = (padded // _ROW, _ROW)
    result = cv2.remap(atlas(), maps[0].reshape(shape), maps[1].reshape(shape), cv2.INTER_LINEAR,
                       borderMode=cv2.BORDER_WRAP)
    return result.reshape(padded, 4)[:count]


def cell_random(i: np.ndarray, j: np.ndarray, salt: np.ndarray | int = 0) -> np.ndarray:
    """float32 [N] in 0..1, a hash of integer cells (i, j) [N] (given as any numbers with whole values)."""
    with np.errstate(over='ignore'):
        h = i.astype(np.int32).view(np.uint32) * np.uint32(73856093)
        h ^= j.astype(np.int32).view(np.uint32) * np.uint32(19349663)
        h ^= np.asarray(salt).astype(np.uint32) * np.uint32(83492791)
        h ^= h >> np.uint32(15)
        h *= np.uint32(0x2C1B3C6D)
        h ^= h >> np.uint32(12)
        h *= np.uint32(0x297A2D39)
        h ^= h >> np.uint32(15)
    return (h & np.uint32(0xFFFF)).astype(np.float32) * np.float32(1 / 65535)
