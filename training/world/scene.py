"""Triangles with materials, moving or not, and rays cast at them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

from training.world.bodies import Body
from training.world.mesh import Mesh


class Texture(IntEnum):
    """How a material varies over its surface; drawn by the camera from a hit's ``local`` position."""

    PLAIN = 0
    ASPHALT = 1
    PAVING = 2  # slabs or cobbles
    GRASS = 3
    PLASTER = 4
    BRICK = 5
    WINDOW = 6
    LEAVES = 7
    BARK = 8
    WOOD = 9
    PAINT = 10  # vehicle paint
    CLOTH = 11
    SIGN = 12
    GRAVEL = 13
    ROOF = 14
    TYRE = 15


@dataclass(frozen=True)
class Material:
    """One surface: its world class, its look in a camera and its look to a 905 nm LiDAR."""

    class_id: int
    reflectance: float  # 0..1 at normal incidence, 905 nm; > 1 for retro-reflectors
    color: tuple[float, float, float] = (0.5, 0.5, 0.5)  # linear RGB albedo
    texture: Texture = Texture.PLAIN
    transmission: float = 0.0  # share of LiDAR pulses that give no return (glass)


@dataclass(frozen=True, eq=False)
class Hits:
    """Where R rays ended.

    distance  float32 [R], metres along the unit direction; inf = nothing hit
    material  int32 [R], index into the scene's ``materials``; -1 = nothing hit
    instance  uint16 [R], 0 = none
    normal    float32 [R, 3], unit, world frame, turned towards the ray's origin
    local     float32 [R, 3], hit position in the hit object's own frame (world frame for the static scene): textures
              stick to moving objects
    face      int32 [R], triangle of the scene's ``static_mesh``; -1 = nothing or something moving
    """

    distance: np.ndarray
    material: np.ndarray
    instance: np.ndarray
    normal: np.ndarray
    local: np.ndarray
    face: np.ndarray


class _Traced:
    """A mesh in Embree's hands."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self._embree = EmbreeScene()
        TriangleMesh(self._embree, mesh.vertices, mesh.faces)

    def run(self, origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """distance [R] (inf = miss), face [R] (-1 = miss), unnormalised normal [R, 3]."""
        out = self._embree.run(origins, directions, output=1)
        missed = out['primID'] < 0
        return np.where(missed, np.float32(np.inf), out['tfar']), out['primID'], out['Ng']

    def blocks(self, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """bool [R]: whether anything is hit at all."""
        if len(origins) == 0:
            return np.zeros(0, bool)
        return self._embree.run(origins, directions, query='OCCLUDED') == 0


class Actor:
    """A rigid thing on the move: its mesh in its own frame and its pose at a time."""

    def __init__(self, mesh: Mesh, instance: int, pose: Callable[[float], np.ndarray]) -> None:
        self.traced, self.instance = _Traced(mesh), instance
        self._pose = lru_cache(maxsize=16)(pose)
        low, high = mesh.vertices.min(0), mesh.vertices.max(0)
        self.center = ((low + high) / 2).astype(np.float64)
        self.radius = float(np.linalg.norm(high - low) / 2)

    def pose(self, t: float) -> np.ndarray:
        """4x4 pose at ``t`` seconds."""
        return self._pose(t).copy()

    def motion(self, t: float) -> tuple[np.ndarray, np.ndarray]:
        """Pose [4, 4] at ``t`` seconds and velocity [3] m/s there."""
        here = self.pose(t)
        return here, (self.pose(t + 0.05)[:3, 3] - self.pose(t - 0.05)[:3, 3]) / 0.1


def _norm(vectors: np.ndarray) -> np.ndarray:
    """Lengths [R] of vectors [R, 3]."""
    x, y, z = vectors[:, 0], vectors[:, 1], vectors[:, 2]
    return np.sqrt(x * x + y * y + z * z)


def _beside(actor: Actor, t: float | np.ndarray, origin: np.ndarray, axis: np.ndarray, spread: float) -> bool:
    """Whether an actor is outside the cone of all rays from ``origin``: cos of its half angle >= spread / |axis|."""
    pose, velocity = actor.motion(float(np.mean(t)))
    to = pose[:3, :3] @ actor.center + pose[:3, 3] - origin
    distance = float(np.linalg.norm(to))
    reach = actor.radius + 0.2 + 0.2 * float(np.linalg.norm(velocity))
    if distance <= reach:
        return False
    length = float(np.linalg.norm(axis))
    angle = np.arccos(np.clip(float(to @ axis) / (distance * length), -1, 1))
    return bool(angle - np.arcsin(reach / distance) > np.arccos(np.clip(spread / length, -1, 1)) + 1e-3)


class Scene:
    """The static street and its actors.

    ``bodies`` tells of instances what their textures need to know, where they are more than plain surfaces.
    ``materials`` is what ``Hits.material`` indexes; ``sun_direction`` float32 [3] points from the ground to the sun.
    """

    def __init__(
        self,
        static: Mesh,
        instance: np.ndarray,
        materials: Sequence[Material],
        actors: Sequence[Actor],
        sun_direction: np.ndarray,
        bodies: Mapping[int, Body] | None = None,
    ) -> None:
        self.materials = tuple(materials)
        self.actors = tuple(actors)
        self.bodies = dict(bodies or {})
        self.sun_direction = sun_direction.astype(np.float32)
        self.static_mesh, self.static_instance = static, instance.astype(np.uint16)
        self._static = _Traced(static)

    def cast(self, origins: np.ndarray, directions: np.ndarray, t: float | np.ndarray) -> Hits:
        """What R rays meet first, moving things standing where they are at time ``t``.

        origins     float32 [R, 3], world frame, metres; a single one [1, 3] for all rays is faster
        directions  float32 [R, 3], unit
        t           seconds since the start of the recording, one for all rays or one each [R] (within ~0.2 s:
                    actors move on straight lines between)
        """
        if len(directions) == 0:
            empty = np.zeros((0, 3), np.float32)
            return Hits(empty[:, 0], np.zeros(0, np.int32), np.zeros(0, np.uint16), empty, empty,
                        np.zeros(0, np.int32))
        if len(origins) == 1:
            origins = np.broadcast_to(origins[0], directions.shape)
        distance, face, normal = self._static.run(np.ascontiguousarray(origins), directions)
        hit = face >= 0
        kept = np.where(hit, face, 0)
        material = np.where(hit, self._static.mesh.material[kept], -1).astype(np.int32)
        instance = np.where(hit, self.static_instance[kept], 0).astype(np.uint16)
        local = origins + np.where(hit, distance, 0)[:, None] * directions
        shared = origins.strides[0] == 0
        drift = np.float32(0) if shared else np.float32(_norm(origins - origins[0]).max())
        axis = directions.mean(0, dtype=np.float64).astype(np.float32) if shared else None
        spread = float(np.min(directions @ axis)) if axis is not None else -1.0
        for actor in self.actors:
            if axis is not None and spread > 0 and _beside(actor, t, origins[0], axis, spread):
                continue
            self._cast_at(actor, origins, directions, t, drift, distance, material, instance, normal, local, face)
        normal /= np.maximum(_norm(normal), 1e-12)[:, None]
        away = np.einsum('ij,ij->i', normal, directions) > 0
        normal[away] *= -1
        return Hits(
            distance.astype(np.float32), material, instance, normal.astype(np.float32), local.astype(np.float32), face
        )

    def shaded(self, origins: np.ndarray, direction: np.ndarray, t: float) -> np.ndarray:
        """bool [R]: whether something stands in the way from each of ``origins`` [R, 3] along one ``direction`` [3]."""
        starts = np.ascontiguousarray(origins, np.float32)
        result = self._static.blocks(starts, np.tile(direction.astype(np.float32), (len(starts), 1)))
        free = np.flatnonzero(~result)
        # Columns: along the direction and across it, so that an actor's shadow is a disc.
        turn = np.linalg.svd(direction.astype(np.float64)[None])[2]
        turn[0] = direction
        along, first, second = (turn.astype(np.float32) @ starts[free].T)
        for actor in self.actors:
            pose = actor.pose(t)
            a, b, c = turn @ (pose[:3, :3] @ actor.center + pose[:3, 3])
            around = np.flatnonzero(np.abs(first - np.float32(b)) < actor.radius)
            near = (along[around] < a + actor.radius) & (np.abs(second[around] - np.float32(c)) < actor.radius)
            near = free[around[near]]
            if len(near):
                local = ((starts[near] - pose[:3, 3]) @ pose[:3, :3]).astype(np.float32)
                turned = np.tile((direction @ pose[:3, :3]).astype(np.float32), (len(near), 1))
                result[near] = actor.traced.blocks(local, turned)
        return result

    def occluded(self, origins: np.ndarray, directions: np.ndarray, t: float) -> np.ndarray:
        """bool [R]: whether something stands in the way from each of ``origins`` along its direction, both [R, 3]."""
        result = self._static.blocks(origins, directions)
        free = np.flatnonzero(~result)
        starts, ways = origins[free], directions[free]
        for actor in self.actors:
            pose = actor.pose(t)
            to = (pose[:3, :3] @ actor.center + pose[:3, 3]).astype(np.float32) - starts
            ahead = np.einsum('ij,ij->i', to, ways)
            offset = np.einsum('ij,ij->i', to, to) - ahead * ahead
            near = np.flatnonzero((offset < actor.radius**2) & (ahead > -actor.radius))
            if len(near):
                local = ((starts[near] - pose[:3, 3]) @ pose[:3, :3]).astype(np.float32)
                blocked = actor.traced.blocks(local, (ways[near] @ pose[:3, :3]).astype(np.float32))
                result[free[near]] |= blocked
        return result

    @staticmethod
    def _cast_at(
        actor: Actor,
        origins: np.ndarray,
        directions: np.ndarray,
        t: float | np.ndarray,
        drift: np.float32,
        distance: np.ndarray,
        material: np.ndarray,
        instance: np.ndarray,
        normal: np.ndarray,
        local: np.ndarray,
        static_face: np.ndarray,
    ) -> None:
        """Cast the rays that may meet ``actor`` and take over where it is nearer."""
        middle = float(np.mean(t))
        pose, velocity = actor.motion(middle)
        center = (pose[:3, :3] @ actor.center + pose[:3, 3]).astype(np.float32)
        spread = float(np.max(np.abs(np.asarray(t) - middle))) * float(np.linalg.norm(velocity))
        reach = np.float32(actor.radius + spread + 0.1)
        to = center - origins[0]
        if np.linalg.norm(to) > 130:
            return
        ahead = directions @ to
        offset = np.dot(to, to) - ahead * ahead
        near = np.flatnonzero((offset < (reach + drift) ** 2) & (ahead > -reach))
        if len(near) == 0:
            return
        shift = pose[:3, 3] + (np.asarray(t, float).reshape(-1, 1) - middle) * velocity
        shift = shift[near] if len(shift) > 1 else shift
        rotation = pose[:3, :3]
        o = ((origins[near] - shift) @ rotation).astype(np.float32)
        d = (directions[near] @ rotation).astype(np.float32)
        found, face, inner = actor.traced.run(o, d)
        closer = found < distance[near]
        rows, face, d, o = near[closer], face[closer], d[closer], o[closer]
        distance[rows] = found[closer]
        material[rows] = actor.traced.mesh.material[face]
        instance[rows] = actor.instance
        normal[rows] = inner[closer] @ rotation.T
        static_face[rows] = -1
        local[rows] = o + found[closer][:, None] * d
