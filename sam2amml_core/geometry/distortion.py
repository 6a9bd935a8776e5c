"""Lens models of ``sensor_msgs/CameraInfo``: plumb_bob, rational_polynomial and equidistant, on normalised coordinates.

With x = X/Z, y = Y/Z and r^2 = x^2 + y^2 (all formulas are those of OpenCV, so its calibrations are read as they are):

    plumb_bob            s = 1 + k1 r^2 + k2 r^4 + k3 r^6
    rational_polynomial  s = (1 + k1 r^2 + k2 r^4 + k3 r^6) / (1 + k4 r^2 + k5 r^4 + k6 r^6)
      both               x' = s x + 2 p1 x y + p2 (r^2 + 2 x^2),   y' = s y + p1 (r^2 + 2 y^2) + 2 p2 x y
    equidistant          a = atan r,  x' = x/r (a + k1 a^3 + k2 a^5 + k3 a^7 + k4 a^9),  y' likewise

A polynomial fitted to the image turns round somewhere outside it: points far off the axis would be folded back into the
image. ``valid_radius`` is where that begins; nothing beyond it is projected.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.frame import Camera, Distortion

COUNTS = {'plumb_bob': (4, 5), 'rational_polynomial': (8,), 'equidistant': (4,)}
"""Coefficients of each model; more are accepted if they are zero (OpenCV writes 12 or 14)."""

WIDEST = np.radians(85.0)
"""Half angle beyond which no lens is used: depth along the optical axis loses its meaning towards 90 degrees."""

BOX_MARGIN = 0.05
"""Widening of the box of rays that can reach the image, for the tangential terms, which it leaves out."""


def make_distortion(name: str, model: str, coefficients: np.ndarray) -> Distortion | None:
    """A checked lens model, or None when it does nothing (all coefficients of a polynomial model are 0).

    Raises InputError for an unknown model, a wrong number of coefficients or values that are not finite.
    """
    values = np.asarray(coefficients, np.float64).ravel()
    model = {'fisheye': 'equidistant', 'radtan': 'plumb_bob'}.get(model, model)
    if not np.isfinite(values).all():
        raise InputError(f'camera {name}: distortion coefficients {values.tolist()} are not finite; calibrate it again')
    if model != 'equidistant' and not values.any():
        return None
    if model not in COUNTS:
        raise InputError(f'camera {name}: distortion model {model or "(empty)"!r} is not supported; use one '
                         f'of {", ".join(COUNTS)}, or its rectified image (image_proc, topic image_rect) and set '
                         'rectified to true')
    counts = COUNTS[model]
    extra = values[counts[-1]:]
    if len(values) < counts[0] or (len(values) not in counts and (len(values) < counts[-1] or extra.any())):
        raise InputError(f'camera {name}: {len(values)} distortion coefficients for {model}; it has '
                         f'{" or ".join(map(str, counts))} (thin prism and tilt are not supported)')
    return Distortion(model, tuple(values[:counts[-1]].tolist()))


def distort(x: np.ndarray, y: np.ndarray, lens: Distortion) -> tuple[np.ndarray, np.ndarray]:
    """Normalised coordinates [N] of rays -> those the lens makes of them; in the arrays' own float type."""
    kind = x.dtype.type
    k = [kind(value) for value in lens.coefficients]
    r2 = x * x
    r2 += y * y
    if lens.model == 'equidistant':
        return _distort_equidistant(x, y, r2, k)
    k1, k2, p1, p2, *more = k
    k3 = more[0] if more else kind(0)
    scale = ((k3 * r2 + k2) * r2 + k1) * r2 + kind(1)
    if lens.model == 'rational_polynomial':
        k4, k5, k6 = more[1:]
        scale /= ((k6 * r2 + k5) * r2 + k4) * r2 + kind(1)
    if p1 == 0 and p2 == 0:
        return x * scale, y * scale
    xy = kind(2) * x * y
    return (x * scale + p1 * xy + p2 * (r2 + kind(2) * x * x), y * scale + p2 * xy + p1 * (r2 + kind(2) * y * y))


def undistort(x: np.ndarray, y: np.ndarray, lens: Distortion, steps: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """The rays, float64 [N], that a lens brings to (x, y) [N]: Newton's method from the inverse of the radial part."""
    goal = np.stack((x, y)).astype(np.float64)
    radius, image_radius = _radial_table(lens)
    far = np.hypot(*goal)
    found = goal * np.divide(np.interp(far, image_radius, radius), far, out=np.ones_like(far), where=far > 1e-12)
    h = 1e-6
    for _ in range(steps):
        here = np.stack(distort(found[0], found[1], lens))
        along_x = (np.stack(distort(found[0] + h, found[1], lens)) - here) / h
        along_y = (np.stack(distort(found[0], found[1] + h, lens)) - here) / h
        error = goal - here
        determinant = along_x[0] * along_y[1] - along_x[1] * along_y[0]
        usable = np.abs(determinant) > 1e-9
        determinant = np.where(usable, determinant, 1.0)
        step = np.stack((along_y[1] * error[0] - along_y[0] * error[1],
                         along_x[0] * error[1] - along_x[1] * error[0])) / determinant
        found += np.where(usable, step, 0.0)
    return found[0], found[1]


def valid_radius(lens: Distortion) -> float:
    """tan of the half angle up to which the lens maps farther rays to farther pixels, at most 85 degrees."""
    return float(_radial_table(lens)[0][-1])


def ray_box(camera: Camera) -> tuple[float, float, float, float]:
    """x0, x1, y0, y1: normalised coordinates that hold every ray which can reach a pixel of a camera with a lens."""
    if camera.distortion is None:
        raise InputError(f'camera {camera.name} has no lens distortion')
    corners = np.linspace(0, 1, 33)
    zero, one = np.zeros_like(corners), np.ones_like(corners)
    u = np.concatenate((corners, corners, zero, one)) * camera.width
    v = np.concatenate((zero, one, corners, corners)) * camera.height
    x, y = np.linalg.solve(camera.projection[:2, :2], np.stack((u, v)) - camera.projection[:2, 2:3])
    far = np.hypot(x, y)
    radius, image_radius = _radial_table(camera.distortion)
    scale = np.interp(far, image_radius, radius) / np.maximum(far, 1e-12)
    x, y = x * scale, y * scale
    x0, x1, y0, y1 = min(x.min(), 0), max(x.max(), 0), min(y.min(), 0), max(y.max(), 0)
    dx, dy = BOX_MARGIN * (x1 - x0), BOX_MARGIN * (y1 - y0)
    return float(x0 - dx), float(x1 + dx), float(y0 - dy), float(y1 + dy)


@lru_cache(maxsize=64)
def _radial_table(lens: Distortion) -> tuple[np.ndarray, np.ndarray]:
    """Radii of rays and of what the radial part of the lens makes of them, both increasing, up to ``valid_radius``."""
    radius = np.tan(np.linspace(0.0, WIDEST, 8193))
    without_tangential = lens
    if lens.model != 'equidistant':
        k = lens.coefficients
        without_tangential = Distortion(lens.model, (k[0], k[1], 0.0, 0.0, *k[4:]))
    with np.errstate(all='ignore'):
        image, _ = distort(radius, np.zeros_like(radius), without_tangential)
    grows = np.diff(image) > 0
    grows &= np.isfinite(image[1:])
    end = len(radius) if grows.all() else int(np.argmin(grows)) + 1
    if end < 2:
        raise InputError(f'distortion {lens.model} {list(lens.coefficients)} shrinks the image from its centre on; '
                         'calibrate the camera again')
    return radius[:end], image[:end]


def _distort_equidistant(x: np.ndarray, y: np.ndarray, r2: np.ndarray, k: list) -> tuple[np.ndarray, np.ndarray]:
    one = x.dtype.type(1)
    radius = np.sqrt(r2)
    angle = np.arctan(radius)
    a2 = angle * angle
    angle *= (((k[3] * a2 + k[2]) * a2 + k[1]) * a2 + k[0]) * a2 + one
    scale = np.divide(angle, radius, out=np.ones_like(angle), where=radius > 1e-6)
    return x * scale, y * scale
