"""Windows of buildings: each pane of glass gets sashes and bars, and a room, curtains or a blind behind it."""

from __future__ import annotations

import numpy as np

from training.world.mesh import Mesh
from training.world.noise import cell_random

F = np.float32
_SASH, _BAR = 0.95, 0.045  # metres: width of a sash aimed at, half width of a bar
_FRAMES = np.array([[0.72, 0.72, 0.70], [0.72, 0.72, 0.70], [0.25, 0.15, 0.09], [0.30, 0.31, 0.32]], np.float32)
_CURTAIN = np.array([0.46, 0.44, 0.40], np.float32)
_BLIND = np.array([0.42, 0.43, 0.43], np.float32)


def paint_windows(
    albedo: np.ndarray, mesh: Mesh, face: np.ndarray, position: np.ndarray, pixel: np.ndarray, variety: np.ndarray
) -> np.ndarray:
    """Draw on ``albedo`` [N, 3] of panes; returns how much of each spot is glass, float32 [N].

    ``face`` int [N] are triangles of ``mesh`` made by ``mesh.quads`` and ``position`` [N, 3] places on them; ``pixel``
    [N] metres is what a pixel covers, ``variety`` [N] 0..1 differs from building to building.
    """
    corner = mesh.faces[face, 0]
    origin = mesh.vertices[corner]
    u, width = _along(position - origin, mesh.vertices[corner + 1] - origin)
    v, height = _along(position - origin, mesh.vertices[corner + 3] - origin)
    sash_width = width / np.maximum(np.rint(width / F(_SASH)), 1)
    sash = np.floor(u / sash_width)
    rim = np.minimum(sash_width / 2 - np.abs(u - (sash + F(0.5)) * sash_width), np.minimum(v, height - v))
    transom = np.where(variety < 0.4, np.abs(v - F(0.7) * height), F(9))
    bar = np.clip((F(_BAR) - np.minimum(rim, transom)) / np.maximum(pixel, F(1e-4)) + F(0.5), 0, 1)

    kind, state = cell_random(corner, corner, 31), cell_random(corner, corner, 32)
    inward = np.abs(u / width - F(0.5)) * 2
    curtain = (kind < 0.4) & (inward > F(0.15) + F(0.7) * state)
    folds = 1 + F(0.22) * np.sin(u * F(58)) * np.clip(F(1.5) - pixel * F(25), 0, 1)
    blind = (kind > 0.4) & (kind < 0.62) & (v > height * state)
    slats = 1 + F(0.15) * np.sin(v * F(120)) * np.clip(F(1.5) - pixel * F(60), 0, 1)
    albedo[curtain] = _CURTAIN * folds[curtain, None]
    albedo[blind] = _BLIND * slats[blind, None]
    frame = _FRAMES[(variety * F(3.99)).astype(np.intp)]
    albedo += (frame - albedo) * bar[:, None]
    return 1 - bar


def _along(offset: np.ndarray, edge: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Metres [N] by which ``offset`` [N, 3] reaches along ``edge`` [N, 3], and the edge's length [N]."""
    length = np.maximum(np.sqrt(np.einsum('ij,ij->i', edge, edge)), F(1e-6))
    return np.einsum('ij,ij->i', offset, edge) / length, length
