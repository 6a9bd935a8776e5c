"""Masks over an image: a colour for each id, borders drawn bright."""

from __future__ import annotations

import numpy as np

from sam2amml_core.errors import InputError


def mask_colors(count: int) -> np.ndarray:
    """uint8 [count + 1, 3] RGB: colours apart from each other for neighbouring ids; black for 0."""
    hue = (np.arange(count + 1) * 0.61803) % 1 * 6
    value = np.array((1.0, 0.8, 0.6))[np.arange(count + 1) % 3]
    rgb = np.clip(np.abs((hue[:, None] + (0, 4, 2)) % 6 - 3) - 1, 0.1, 1) * value[:, None]
    colors = np.rint(255 * rgb).astype(np.uint8)
    colors[0] = 0
    return colors


def mask_overlay(image: np.ndarray, id_map: np.ndarray, strength: float = 0.45) -> np.ndarray:
    """A copy of ``image`` uint8 [H, W, 3] RGB with masks uint16 [H, W] over it; pixels without a mask stay as they are.

    Raises InputError when the shapes differ.
    """
    if image.shape[:2] != id_map.shape:
        raise InputError(f'image {image.shape[:2]} and masks {id_map.shape} differ; give masks of this image')
    colors = mask_colors(int(id_map.max(initial=0)))[id_map].astype(np.float32)
    mixed = image + np.float32(strength) * (colors - image)
    border = np.zeros(id_map.shape, bool)
    border[:, 1:] |= id_map[:, 1:] != id_map[:, :-1]
    border[1:] |= id_map[1:] != id_map[:-1]
    mixed[border & (id_map > 0)] = 255
    return np.where((id_map > 0)[..., None], mixed, image).astype(np.uint8)
