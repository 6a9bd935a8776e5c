"""What a street picture is like in numbers, to be compared between the synthetic world and real cameras."""

from __future__ import annotations

import cv2
import numpy as np

from sam2amml_core.errors import InputError

_GRAY = np.array([[0.299, 0.587, 0.114]], np.float32)  # BT.601 luma
_BANDS = (1, 2, 4, 8, 16)  # pixels, standard deviations of the difference-of-Gaussians bands


def image_statistics(image: np.ndarray) -> dict[str, float]:
    """Statistics of one image uint8 [H, W, 3] RGB; luminance and gradients in gray levels 0..255.

    luminance_q05 .. q95   quantiles of the luminance
    clipped_low / _high    share of pixels with luminance <= 5 / >= 250
    gradient_q50 .. q99    quantiles of the Sobel gradient's magnitude per pixel step
    edge_share             share of pixels with a gradient above 25
    entropy                of the luminance histogram, bits
    saturation_q50, q90    quantiles of (max - min) / max over RGB, where max >= 20
    band_1 .. band_16      root mean square of luminance between Gaussian blurs of sigma s and 2 s pixels
    band_slope             fall of log2 band energy per octave, from least squares (white noise: about -1)
    noise                  standard deviation of the finest detail (median over the flattest tenth of 16 px tiles)
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(f'image is {image.dtype} {image.shape}; give uint8 [H, W, 3] RGB')
    floating = image.astype(np.float32)
    gray = np.asarray(cv2.transform(floating, _GRAY), np.float32).reshape(image.shape[:2])
    result = {f'luminance_q{int(100 * q):02d}': float(np.quantile(gray, q)) for q in (0.05, 0.25, 0.5, 0.75, 0.95)}
    result['clipped_low'] = float(np.mean(gray <= 5))
    result['clipped_high'] = float(np.mean(gray >= 250))
    gradient = np.hypot(cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1)) / 8
    result.update({f'gradient_q{int(100 * q)}': float(np.quantile(gradient, q)) for q in (0.5, 0.75, 0.9, 0.99)})
    result['edge_share'] = float(np.mean(gradient > 25))
    share = np.bincount(np.clip(np.rint(gray), 0, 255).astype(np.int64).ravel(), minlength=256) / gray.size
    result['entropy'] = float(-np.sum(share[share > 0] * np.log2(share[share > 0])))
    high, low = floating.max(2), floating.min(2)
    bright = high >= 20
    saturation = ((high - low) / np.maximum(high, 1))[bright] if bright.any() else np.zeros(1)
    result.update({f'saturation_q{int(100 * q)}': float(np.quantile(saturation, q)) for q in (0.5, 0.9)})
    result.update(_spectrum(gray))
    result['noise'] = _noise(gray)
    return result


def _spectrum(gray: np.ndarray) -> dict[str, float]:
    """Energy of luminance by size of detail."""
    blurred = [cv2.GaussianBlur(gray, (0, 0), s) for s in (*_BANDS, 2 * _BANDS[-1])]
    energy = [float(np.sqrt(np.mean((a - b) ** 2))) for a, b in zip(blurred[:-1], blurred[1:], strict=True)]
    result = {f'band_{s}': e for s, e in zip(_BANDS, energy, strict=True)}
    octaves = np.log2(np.maximum(energy, 1e-6))
    result['band_slope'] = float(np.polyfit(np.arange(len(_BANDS)), octaves, 1)[0])
    return result


def _noise(gray: np.ndarray) -> float:
    """Deviation that the flattest tiles keep after a 3x3 second difference (Immerkaer 1996), clipped tiles left out."""
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    detail = np.abs(cv2.filter2D(gray, cv2.CV_32F, kernel))
    rows, columns = gray.shape[0] // 16, gray.shape[1] // 16
    if rows == 0 or columns == 0:
        return 0.0

    def tiles(values: np.ndarray) -> np.ndarray:
        return values[: rows * 16, : columns * 16].reshape(rows, 16, columns, 16).mean((1, 3))

    level, inside = tiles(detail), tiles(gray)
    usable = level[(inside > 15) & (inside < 240)]
    if usable.size == 0:
        return 0.0
    return float(np.sqrt(np.pi / 2) / 6 * np.median(np.sort(usable)[: max(1, usable.size // 10)]))
