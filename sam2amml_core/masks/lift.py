"""From pixels to points: the mask that each LiDAR point lies in, over all cameras at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.frame import Camera
from sam2amml_core.geometry.projection import ProjectedPoints, Projection, project
from sam2amml_core.geometry.visibility import Occlusion, visible_points
from sam2amml_core.masks.mask_set import MaskSet


def point_mask_ids(xyz: np.ndarray, cameras: Sequence[Camera], masks: Sequence[MaskSet | np.ndarray],
                   projection: Projection | None = None, seen: Sequence[np.ndarray] | None = None,
                   occlusion: Occlusion | None = None) -> np.ndarray:
    """int32 [N], the mask of each point, 0 = none; ids of camera m follow those of the cameras before it.

    xyz         float32 [N, 3], metres, LiDAR frame, moved to the images' stamps
    masks       of each camera: a MaskSet, or an id map uint16 [H, W]
    projection  of ``xyz`` into ``cameras``, where it is known already
    seen        bool [K_m] per camera, which of its projected points it sees; else ``visible_points`` decides

    Points behind a nearer surface get no mask. A point that several cameras see takes the mask of the one in which it
    lies farthest from the border, relative to the image's size, and among those with a mask only.
    Raises InputError when masks and cameras do not fit.
    """
    maps = [item.id_map if isinstance(item, MaskSet) else item for item in masks]
    if len(maps) != len(cameras):
        raise InputError(f'{len(maps)} mask sets for {len(cameras)} cameras; give one for each')
    for camera, id_map in zip(cameras, maps, strict=True):
        if id_map.shape != (camera.height, camera.width):
            raise InputError(f'camera {camera.name}: masks of {id_map.shape[1]} x {id_map.shape[0]} pixels, '
                             f'calibration for {camera.width} x {camera.height}; give those of one image size')
    projection = project(xyz, cameras) if projection is None else projection
    result = np.zeros(len(xyz), np.int32)
    margin = np.zeros(len(xyz), np.float32)
    offsets = mask_offsets(masks)
    for number, (camera, points, id_map) in enumerate(zip(cameras, projection, maps, strict=True)):
        visible = seen[number] if seen is not None else visible_points(points, camera, occlusion=occlusion)
        ids = ids_at(points, id_map)
        here = _margin(points.uv, camera)
        better = here > margin.take(points.index)
        better &= visible
        better &= ids > 0
        kept = np.flatnonzero(better)
        place = points.index.take(kept)
        margin[place] = here.take(kept)
        result[place] = ids.take(kept) + np.int32(offsets[number])
    return result


def mask_offsets(masks: Sequence[MaskSet | np.ndarray]) -> np.ndarray:
    """int64 [M + 1]: what is added to the ids of each camera; the last is the number of all masks."""
    counts = [len(item) if isinstance(item, MaskSet) else int(item.max(initial=0)) for item in masks]
    return np.concatenate(([0], np.cumsum(counts))).astype(np.int64)


def ids_at(points: ProjectedPoints, id_map: np.ndarray) -> np.ndarray:
    """int32 [K]: the id at the pixel of each projected point."""
    uv = points.uv.astype(np.int32)
    place = uv[:, 1] * np.int32(id_map.shape[1])
    place += uv[:, 0]
    return id_map.ravel().take(place).astype(np.int32)


def _margin(uv: np.ndarray, camera: Camera) -> np.ndarray:
    """float32 [K]: distance to the nearest border, 0..1 of half the image; above 0 for every pixel inside."""
    off = uv * np.array((2 / camera.width, 2 / camera.height), np.float32)
    off -= np.float32(1)
    np.abs(off, out=off)
    return np.float32(1 + 1e-6) - np.maximum(off[:, 0], off[:, 1])
