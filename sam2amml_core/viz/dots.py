"""Small squares at pixel positions, all at once."""

from __future__ import annotations

import numpy as np

from sam2amml_core.errors import InputError


def draw_dots(image: np.ndarray, place: np.ndarray, colors: np.ndarray, size: int) -> None:
    """Draw N squares of ``size`` pixels into ``image`` uint8 [H, W, 3]; later ones lie over earlier ones.

    place   int [N, 2], column and row of the centres; those outside, and parts of squares outside, are left out
    colors  uint8 [N, 3]
    Raises InputError when the shapes do not fit.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(f'picture is {image.dtype} {image.shape}; give uint8 [H, W, 3] RGB')
    if place.ndim != 2 or place.shape[1] != 2 or colors.shape != (len(place), 3):
        raise InputError(f'{place.shape} positions and {colors.shape} colours do not fit; give [N, 2] and [N, 3]')
    height, width = image.shape[:2]
    order = np.full((height, width), -1, np.int32)
    first = -(size // 2)
    number = np.arange(len(place), dtype=np.int32)
    for dy in range(first, first + size):
        for dx in range(first, first + size):
            column, row = place[:, 0] + dx, place[:, 1] + dy
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            layer = np.full((height, width), -1, np.int32)
            layer[row[inside], column[inside]] = number[inside]  # of several points at one place the last stays
            np.maximum(order, layer, out=order)
    drawn = order >= 0
    image[drawn] = colors[order[drawn]]
