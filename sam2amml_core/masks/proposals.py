"""What the LiDAR says is there: objects and surfaces, each a set of points, from geometry or from classes of points.

Points hang together when they are nearer than a limit that grows with the range (as in MixSup's PointSAM, Yang et al.
2024: 0.04 of the range). Heights count half, because beams lie farther apart than the points of one beam.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sam2amml_core.frame import UNKNOWN
from sam2amml_core.labels import ClassSchema
from sam2amml_core.masks.ground import is_ground

LONGEST_OBJECT_M, CAR_LENGTH_M, WIDEST_OBJECT_M = 14.0, 8.0, 3.5
"""Clusters longer than a bus, or longer than a car and wider than a truck, are surfaces: walls, hedges."""

_SURFACES = frozenset((
    'road', 'parking', 'sidewalk', 'other-ground', 'building', 'fence', 'vegetation', 'terrain',  # SemanticKITTI
    'driveable_surface', 'other_flat', 'manmade'))  # nuScenes

_FAMILIES = (
    ('car', 'truck', 'other-vehicle', 'bus', 'trailer', 'construction_vehicle'),
    ('person', 'bicyclist', 'motorcyclist', 'bicycle', 'motorcycle', 'pedestrian'))
"""Classes that a network takes for each other on one object: their points may be one piece."""


@dataclass(frozen=True, eq=False)
class Proposals:
    """P sets of points.

    number   int32 [K], 1 .. P, 0 = in none
    surface  bool [P + 1], whether it is a surface rather than an object; row 0 is not used
    """

    number: np.ndarray
    surface: np.ndarray

    def __len__(self) -> int:
        return len(self.surface) - 1


def from_geometry(xyz: np.ndarray, smallest: int = 5) -> Proposals:
    """Of points float32 [K, 3], metres, LiDAR frame, z up: the ground in one, and clusters of the rest."""
    ground = is_ground(xyz)
    component = np.zeros(len(xyz), np.int64)
    rest = np.flatnonzero(~ground)
    component[rest] = 1 + hanging_together(xyz[rest])
    proposals = _numbered(component, smallest)
    surface = _wide(xyz, proposals)
    if ground.sum() >= smallest:
        proposals[ground] = len(surface)
        surface = np.append(surface, True)
    return Proposals(proposals, surface)


def from_classes(xyz: np.ndarray, point_class: np.ndarray, schema: ClassSchema, smallest: int = 5) -> Proposals:
    """Of points and their train ids uint8 [K] in ``schema``: pieces of one family of classes that hang together.

    Ground and walls with many gaps stay in one piece for each class. Points without a class are in none.
    """
    known = (point_class > 0) & (point_class != UNKNOWN) & (point_class < len(schema))
    is_surface = np.array([name in _SURFACES for name in schema.names])
    component = np.zeros(len(xyz), np.int64)
    things = np.flatnonzero(known & ~is_surface[np.minimum(point_class, len(schema) - 1)])
    pieces = hanging_together(xyz[things], _family(schema)[point_class[things]])
    component[things] = 1 + pieces
    first = 1 + (int(pieces.max()) + 1 if len(pieces) else 0)
    surfaces = np.flatnonzero(known & is_surface[np.minimum(point_class, len(schema) - 1)])
    component[surfaces] = first + point_class[surfaces]
    number = _numbered(component, smallest)
    surface = np.zeros(int(number.max(initial=0)) + 1, bool)
    surface[number[surfaces]] = True
    surface[0] = False
    return Proposals(number, surface)


def _family(schema: ClassSchema) -> np.ndarray:
    """int [C + 1]: classes of one family have one number."""
    table = np.arange(len(schema))
    for family in _FAMILIES:
        members = [number for number, name in enumerate(schema.names) if name in family]
        table[members] = members[0] if members else 0
    return table


def hanging_together(xyz: np.ndarray, kind: np.ndarray | None = None, nearest: float = 0.45, share: float = 0.03
                     ) -> np.ndarray:
    """int64 [K] from 0: connected pieces of points float32 [K, 3], joined below max(nearest, share * range) metres.

    kind  int [K]: points of different kinds are never joined
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    if not len(xyz):
        return np.zeros(0, np.int64)
    reach = np.maximum(nearest, share * np.linalg.norm(xyz, axis=1))
    voxel = np.floor(xyz / 0.15).astype(np.int64)
    if kind is not None:
        voxel = np.concatenate((voxel, kind[:, None].astype(np.int64)), axis=1)
    _, first, member = np.unique(voxel, axis=0, return_index=True, return_inverse=True)
    member = member.ravel()
    flat = xyz[first] * np.array((1, 1, 0.5), np.float32)
    count = min(9, len(first))
    distance, other = cKDTree(flat).query(flat, k=count, distance_upper_bound=float(reach.max()))
    distance, other = distance.reshape(len(first), count), other.reshape(len(first), count)
    own = np.repeat(np.arange(len(first)), count)
    other, distance = other.ravel(), distance.ravel()
    joined = np.isfinite(distance) & (distance <= reach[first][own])
    own, other = own[joined], other[joined]
    if kind is not None:
        same = kind[first[own]] == kind[first[other]]
        own, other = own[same], other[same]
    graph = coo_matrix((np.ones(len(own), bool), (own, other)), shape=(len(first), len(first)))
    return connected_components(graph, directed=False)[1][member].astype(np.int64)


def _numbered(component: np.ndarray, smallest: int) -> np.ndarray:
    """int32 [K]: components of enough points, numbered from 1; component 0 and small ones become 0."""
    size = np.bincount(component, minlength=1)
    kept = np.flatnonzero(size >= smallest)
    kept = kept[kept > 0]
    table = np.zeros(len(size), np.int32)
    table[kept] = np.arange(1, len(kept) + 1)
    return table[component]


def _wide(xyz: np.ndarray, number: np.ndarray) -> np.ndarray:
    """bool [P + 1]: sets of points that reach farther than an object does."""
    count = int(number.max(initial=0)) + 1
    low, high = np.full((count, 2), np.inf, np.float32), np.full((count, 2), -np.inf, np.float32)
    np.minimum.at(low, number, xyz[:, :2])
    np.maximum.at(high, number, xyz[:, :2])
    extent = np.sort(high - low, axis=1)
    wide = (extent[:, 1] > LONGEST_OBJECT_M) | ((extent[:, 1] > CAR_LENGTH_M) & (extent[:, 0] > WIDEST_OBJECT_M))
    wide[0] = False
    return wide
