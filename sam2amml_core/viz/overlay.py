"""Points over a camera image."""

from __future__ import annotations

import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.viz.dots import draw_dots


def overlay(image: np.ndarray, uv: np.ndarray, colors: np.ndarray, dot: int | None = None) -> np.ndarray:
    """A copy of ``image`` uint8 [H, W, 3] RGB with points at pixels ``uv`` float [N, 2] in colours uint8 [N, 3].

    dot: width of a point in pixels; by default one for every 400 pixels of the image's width, at least 2.
    Points that are not finite or outside are left out. Raises InputError when the shapes do not fit.
    """
    if uv.ndim != 2 or uv.shape[1] != 2 or colors.shape != (len(uv), 3):
        raise InputError(f'{uv.shape} pixels and {colors.shape} colours do not fit; give [N, 2] and [N, 3]')
    drawn = np.array(image)
    usable = np.isfinite(uv).all(axis=1) & (np.abs(np.nan_to_num(uv)) < 1e6).all(axis=1)
    size = dot if dot is not None else max(2, round(drawn.shape[1] / 400))
    draw_dots(drawn, np.floor(uv[usable]).astype(np.int64), colors[usable], size)
    return drawn
