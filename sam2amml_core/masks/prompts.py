"""From proposals in 3D to prompts in the image: points inside and outside, a box, and the area they stand for.

Boundary-prompt elimination: a LiDAR beam that just passes an edge is, from the camera's place, often on the other side
of it. So points are ranked by how far they are from everything that could be an edge (points of other proposals or of
another depth, and the image's border), and each proposal keeps its most interior half. A fixed distance instead would
leave small objects without any prompt.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sam2amml_core.frame import Camera
from sam2amml_core.geometry.projection import ProjectedPoints
from sam2amml_core.geometry.visibility import estimate_spacing
from sam2amml_core.masks.proposals import Proposals

NEIGHBOURS = 8
DEPTH_STEP = (0.4, 0.04)
"""A step of depth between neighbours is an edge above this many metres plus this share of the depth."""


@dataclass(frozen=True)
class PromptSettings:
    """What a prompt consists of; every part can be switched off, to see what it is good for.

    positives, negatives  points inside and outside, at most
    boxes, areas          whether the box and the area of a proposal's points are part of its prompt
    elimination           boundary-prompt elimination
    smallest_points       visible points a proposal must have
    surface_prompts       prompts for each surface, spread over it
    """

    positives: int = 3
    negatives: int = 2
    boxes: bool = True
    areas: bool = True
    elimination: bool = True
    smallest_points: int = 6
    surface_prompts: int = 1


@dataclass(frozen=True, eq=False)
class Prompt:
    """One question to SAM2, in image pixels.

    proposal  its number, from 1; surface: whether it is one
    points    float32 [n, 2]; inside: bool [n]
    box       float32 [4], (x0, y0, x1, y1)
    pixels    int32 [k, 2], columns and rows of its visible points
    """

    proposal: int
    surface: bool
    points: np.ndarray
    inside: np.ndarray
    box: np.ndarray
    pixels: np.ndarray


def beam_reach(points: ProjectedPoints, camera: Camera) -> tuple[float, float]:
    """Half the distance of neighbouring points across and down the image, pixels."""
    spacing = estimate_spacing(points, camera)
    return (max(1.0, 0.5 * float(camera.projection[0, 0]) * spacing.horizontal),
            max(1.0, 0.5 * float(camera.projection[1, 1]) * spacing.vertical))


def make_prompts(uv: np.ndarray, depth: np.ndarray, proposals: Proposals, camera: Camera,
                 reach: tuple[float, float], settings: PromptSettings) -> list[Prompt]:
    """Prompts for all proposals, of the visible points' pixels float32 [K, 2] and depths float32 [K]."""
    interior = interior_distance(uv, depth, proposals.number, camera, reach)
    order = np.argsort(proposals.number, kind='stable')
    ends = np.searchsorted(proposals.number[order], np.arange(1, len(proposals) + 2))
    prompts = []
    for number in range(1, len(proposals) + 1):
        rows = order[ends[number - 1]:ends[number]]
        if len(rows) < settings.smallest_points:
            continue
        box = _box(uv[rows], reach, camera)
        chosen = rows
        if settings.elimination and len(rows) > 2:
            chosen = rows[interior[rows] >= np.median(interior[rows])]
        surface = bool(proposals.surface[number])
        outside = _outside(uv, proposals.number, interior, number, box, settings)
        for part in _parts(uv[chosen], settings.surface_prompts if surface else 1):
            inside = _spread(uv[chosen[part]], settings.positives, interior[chosen[part]])
            points = np.concatenate((inside, outside)).astype(np.float32)
            prompts.append(Prompt(number, surface, points, np.arange(len(points)) < len(inside), box,
                                  uv[rows].astype(np.int32)))
    return prompts


def interior_distance(uv: np.ndarray, depth: np.ndarray, number: np.ndarray, camera: Camera,
                      reach: tuple[float, float]) -> np.ndarray:
    """float32 [K]: how far each point is from the nearest possible edge, in units of the beam spacing.

    Edges are points among whose neighbours are some of another proposal or beyond a step of depth, and the borders.
    """
    from scipy.spatial import cKDTree

    if len(uv) < 2:
        return np.zeros(len(uv), np.float32)
    scaled = uv / (2 * np.array(reach, np.float32))
    count = min(NEIGHBOURS + 1, len(uv))
    near = cKDTree(scaled).query(scaled, k=count)[1][:, 1:].astype(np.int32)
    edge = (number[near] != number[:, None]).any(axis=1)
    edge |= (np.abs(depth[near] - depth[:, None]) > DEPTH_STEP[0] + DEPTH_STEP[1] * depth[:, None]).any(axis=1)
    size = np.array((camera.width, camera.height), np.float32)
    border = (np.minimum(uv, size - uv) / (2 * np.array(reach, np.float32))).min(axis=1)
    if not edge.any():
        return border.astype(np.float32)
    return np.minimum(cKDTree(scaled[edge]).query(scaled)[0], border).astype(np.float32)


def _box(uv: np.ndarray, reach: tuple[float, float], camera: Camera) -> np.ndarray:
    low, high = uv.min(axis=0) - reach, uv.max(axis=0) + reach
    size = np.array((camera.width, camera.height))
    return np.concatenate((np.clip(low, 0, size), np.clip(high, 0, size))).astype(np.float32)


def _outside(uv: np.ndarray, number: np.ndarray, interior: np.ndarray, own: int, box: np.ndarray,
             settings: PromptSettings) -> np.ndarray:
    """Points of other proposals in and around the box, float32 [n, 2]."""
    if not settings.negatives:
        return np.zeros((0, 2), np.float32)
    margin = 0.15 * np.maximum(box[2:] - box[:2], 8)
    near = ((uv >= box[:2] - margin) & (uv <= box[2:] + margin)).all(axis=1) & (number != own)
    if settings.elimination:
        near &= interior > 0.5
    rows = np.flatnonzero(near)
    return _spread(uv[rows], settings.negatives, interior[rows])


def _parts(uv: np.ndarray, count: int) -> list[np.ndarray]:
    """Rows of the points nearest to each of ``count`` places spread over them."""
    if count <= 1 or len(uv) <= count:
        return [np.arange(len(uv))]
    centers = uv[_spread_rows(uv, count, np.zeros(len(uv)))]
    nearest = np.square(uv[:, None] - centers[None]).sum(axis=2).argmin(axis=1)
    return [rows for part in range(len(centers)) if len(rows := np.flatnonzero(nearest == part))]


def _spread(uv: np.ndarray, count: int, interior: np.ndarray) -> np.ndarray:
    return uv[_spread_rows(uv, count, interior)]


def _spread_rows(uv: np.ndarray, count: int, interior: np.ndarray) -> np.ndarray:
    """Rows of up to ``count`` points, each farthest from those before (Gonzalez 1985), the first the most interior."""
    if not len(uv) or count < 1:
        return np.zeros(0, np.int64)
    chosen = [int(np.argmax(interior))]
    distance = np.full(len(uv), np.inf)
    for _ in range(min(count, len(uv)) - 1):
        np.minimum(distance, np.square(uv - uv[chosen[-1]]).sum(axis=1), out=distance)
        chosen.append(int(np.argmax(distance)))
    return np.array(chosen)
