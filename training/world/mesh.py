"""Triangle meshes with a material per face, and the solids that everything in the street is put together from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True, eq=False)
class Mesh:
    """vertices float32 [V, 3] metres; faces int32 [F, 3]; material int32 [F], indices into a material list."""

    vertices: np.ndarray
    faces: np.ndarray
    material: np.ndarray

    def moved(self, translation: ArrayLike = (0, 0, 0), yaw: float = 0.0, scale: float = 1.0) -> Mesh:
        """Scaled, turned about z by ``yaw`` radians, then shifted by ``translation`` metres."""
        c, s = np.cos(yaw), np.sin(yaw)
        rotation = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
        vertices = (self.vertices * scale) @ rotation + np.asarray(translation)
        return Mesh(vertices.astype(np.float32), self.faces, self.material)

    def transformed(self, T: np.ndarray) -> Mesh:
        """Moved by a 4x4 rigid transform."""
        return Mesh((self.vertices @ T[:3, :3].T + T[:3, 3]).astype(np.float32), self.faces, self.material)

    def leaned(self, pitch: float = 0.0, roll: float = 0.0) -> Mesh:
        """Turned about y by ``pitch``, then about x by ``roll`` (radians), about the origin."""
        cp, sp, cr, sr = np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
        about_y = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
        about_x = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
        return Mesh((self.vertices @ (about_x @ about_y).T).astype(np.float32), self.faces, self.material)


def merge(meshes: Iterable[Mesh]) -> Mesh:
    """All meshes as one."""
    parts = list(meshes)
    if not parts:
        return Mesh(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32), np.zeros(0, np.int32))
    offsets = np.cumsum([0] + [len(p.vertices) for p in parts[:-1]])
    return Mesh(
        np.concatenate([p.vertices for p in parts]),
        np.concatenate([p.faces + o for p, o in zip(parts, offsets, strict=True)]).astype(np.int32),
        np.concatenate([p.material for p in parts]),
    )


def _mesh(vertices: np.ndarray, faces: np.ndarray, material: int) -> Mesh:
    return Mesh(
        np.asarray(vertices, np.float32),
        np.asarray(faces, np.int32),
        np.full(len(faces), material, np.int32),
    )


_BOX_FACES = np.array([
    [0, 2, 1], [0, 3, 2], [4, 5, 6], [4, 6, 7], [0, 1, 5], [0, 5, 4],
    [1, 2, 6], [1, 6, 5], [2, 3, 7], [2, 7, 6], [3, 0, 4], [3, 4, 7],
])


def box(low: ArrayLike, high: ArrayLike, material: int) -> Mesh:
    """An axis-aligned box between two corners."""
    (x0, y0, z0), (x1, y1, z1) = np.asarray(low, float), np.asarray(high, float)
    corners = [[x0, y0, z0], [x1, y0, z0], [x1, y1, z0], [x0, y1, z0],
               [x0, y0, z1], [x1, y0, z1], [x1, y1, z1], [x0, y1, z1]]
    return _mesh(np.array(corners), _BOX_FACES, material)


def tube(
    start: ArrayLike, end: ArrayLike, radius: float, material: int, end_radius: float | None = None, sides: int = 8
) -> Mesh:
    """A capped cylinder (or a cone frustum) from ``start`` to ``end``."""
    a, b = np.asarray(start, float), np.asarray(end, float)
    axis = (b - a) / max(float(np.linalg.norm(b - a)), 1e-9)
    helper = np.array([1.0, 0, 0]) if abs(axis[2]) > 0.7 else np.array([0, 0, 1.0])
    u = np.cross(axis, helper)
    u /= np.linalg.norm(u)
    v = np.cross(axis, u)
    angle = np.arange(sides) * 2 * np.pi / sides
    ring = np.cos(angle)[:, None] * u + np.sin(angle)[:, None] * v
    top = radius if end_radius is None else end_radius
    vertices = np.concatenate([a + radius * ring, b + top * ring, a[None], b[None]])
    i = np.arange(sides)
    j = (i + 1) % sides
    side = np.concatenate([np.stack([i, j, j + sides], 1), np.stack([i, j + sides, i + sides], 1)])
    caps = np.concatenate([np.stack([np.full(sides, 2 * sides), j, i], 1),
                           np.stack([np.full(sides, 2 * sides + 1), i + sides, j + sides], 1)])
    return _mesh(vertices, np.concatenate([side, caps]), material)


def ellipsoid(center: ArrayLike, radii: ArrayLike, material: int, rows: int = 6, columns: int = 10) -> Mesh:
    """A closed ellipsoid."""
    lat = np.linspace(-np.pi / 2, np.pi / 2, rows + 1)
    lon = np.arange(columns) * 2 * np.pi / columns
    unit = np.stack([np.cos(lat)[:, None] * np.cos(lon), np.cos(lat)[:, None] * np.sin(lon),
                     np.broadcast_to(np.sin(lat)[:, None], (rows + 1, columns))], -1).reshape(-1, 3)
    r, c = np.meshgrid(np.arange(rows), np.arange(columns), indexing='ij')
    a = (r * columns + c).ravel()
    b = (r * columns + (c + 1) % columns).ravel()
    faces = np.concatenate([np.stack([a, b, b + columns], 1), np.stack([a, b + columns, a + columns], 1)])
    return _mesh(unit * np.asarray(radii) + np.asarray(center), faces, material)


def wheel(center: ArrayLike, radius: float, width: float, material: int, sides: int = 12) -> Mesh:
    """A disc standing upright, its axle along y."""
    x, y, z = np.asarray(center, float)
    return tube((x, y - width / 2, z), (x, y + width / 2, z), radius, material, sides=sides)


def hoop(center: ArrayLike, radius: float, thickness: float, material: int, sides: int = 16) -> Mesh:
    """A thin ring standing upright, its axle along y: a bicycle's wheel."""
    x, y, z = np.asarray(center, float)
    angle = np.arange(sides + 1) * 2 * np.pi / sides
    points = np.stack([x + radius * np.cos(angle), np.full(sides + 1, y), z + radius * np.sin(angle)], 1)
    return merge(tube(points[i], points[i + 1], thickness, material, sides=4) for i in range(sides))


def loft(sections: ArrayLike, material: int | np.ndarray) -> Mesh:
    """Closed rings of equal length joined one to the next, ends capped; ``material`` one for all or [len - 1, ring]."""
    rings = np.asarray(sections, float)  # [S, P, 3]
    s, p = rings.shape[:2]
    r, c = np.meshgrid(np.arange(s - 1), np.arange(p), indexing='ij')
    a, b = (r * p + c).ravel(), (r * p + (c + 1) % p).ravel()
    faces = np.stack([np.stack([a, b, b + p], 1), np.stack([a, b + p, a + p], 1)], 1).reshape(-1, 3)
    per_quad = np.broadcast_to(np.asarray(material), (s - 1, p)).ravel()
    vertices = np.concatenate([rings.reshape(-1, 3), rings[0].mean(0)[None], rings[-1].mean(0)[None]])
    i = np.arange(p)
    j = (i + 1) % p
    caps = np.concatenate([np.stack([np.full(p, s * p), j, i], 1),
                           np.stack([np.full(p, s * p + 1), i + (s - 1) * p, j + (s - 1) * p], 1)])
    cap_material = np.concatenate([np.full(p, per_quad[0]), np.full(p, per_quad[-1])])
    return Mesh(vertices.astype(np.float32), np.concatenate([faces, caps]).astype(np.int32),
                np.concatenate([np.repeat(per_quad, 2), cap_material]).astype(np.int32))


def cards(rng: np.random.Generator, centers: np.ndarray, size: float, material: int) -> Mesh:
    """Small randomly turned triangles (leaves, twigs) of about ``size`` metres at ``centers`` [M, 3]."""
    corners = rng.normal(size=(len(centers), 3, 3)) * (size * 0.6) * rng.uniform(0.6, 1.4, (len(centers), 1, 1))
    vertices = (centers[:, None] + corners).reshape(-1, 3)
    return _mesh(vertices, np.arange(len(vertices)).reshape(-1, 3), material)


def quads(corners: np.ndarray, material: int) -> Mesh:
    """Q four-cornered faces, ``corners`` [Q, 4, 3] in order around each."""
    base = np.arange(len(corners))[:, None] * 4
    faces = np.concatenate([base + [0, 1, 2], base + [0, 2, 3]])
    return _mesh(corners.reshape(-1, 3), faces, material)
