"""The spinning LiDAR: rays fired from a moving vehicle, range noise, intensity and lost returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sam2amml_core.frame import PointCloud
from training.world.scene import Hits, Scene, Texture
from training.world.sensors import LidarSpec

# Depth a pulse reaches into a surface beyond its triangles, mean of an exponential, metres.
_SOFT = {Texture.GRASS: 0.035, Texture.LEAVES: 0.07, Texture.CLOTH: 0.01}


@dataclass(frozen=True, eq=False)
class LidarUnit:
    """One particular sensor: the same model's beams differ a little in angle and gain."""

    spec: LidarSpec
    elevation: np.ndarray  # float32 [B]
    azimuth_offset: np.ndarray  # float32 [B]
    gain: np.ndarray  # float32 [B]
    range_noise: float
    mount: np.ndarray  # float64 [3, 3], how it sits on the vehicle: nobody's roof is level
    blind: np.ndarray  # float32 [K, 4], radians: azimuth from, to; elevation from, to

    @staticmethod
    def draw(rng: np.random.Generator, spec: LidarSpec, gain: float, range_noise: float) -> LidarUnit:
        """A unit of the given model."""
        beams = len(spec.elevation)
        mounted = [part[:4] for part in spec.blind if rng.random() < part[4]]
        blind = np.radians(np.array(mounted, float).reshape(-1, 4) + rng.normal(0, 1.2, (len(mounted), 4)))
        return LidarUnit(
            spec,
            (spec.elevation + rng.normal(0, np.radians(0.02), beams)).astype(np.float32),
            rng.uniform(-np.radians(0.25), np.radians(0.25), beams).astype(np.float32),
            (spec.gain * gain * rng.uniform(0.82, 1.18, beams)).astype(np.float32),
            range_noise,
            _small_rotation(np.radians(rng.normal(0, (0.8, 0.7)))),
            blind.astype(np.float32),
        )

    def hidden(self, rng: np.random.Generator, direction: np.ndarray) -> np.ndarray:
        """bool [R]: directions [R, 3] (sensor frame, unit) that the vehicle's own roof and racks block."""
        ragged = 0.012 * rng.standard_normal((2, len(direction)), dtype=np.float32)
        azimuth = np.arctan2(direction[:, 1], direction[:, 0]) + ragged[0]
        elevation = direction[:, 2] + ragged[1]  # sine, near enough below 30 degrees
        result = np.zeros(len(direction), bool)
        for a0, a1, e0, e1 in self.blind:
            turned = np.remainder(azimuth - (a0 + a1) / 2 + np.pi, 2 * np.pi) - np.pi
            result |= (np.abs(turned) < (a1 - a0) / 2) & (elevation > np.sin(e0)) & (elevation < np.sin(e1))
        return result


@dataclass(frozen=True, eq=False)
class Scan:
    """A sweep as measured, with its truth; N points in the sensor's order.

    cloud     points in the frame of the moving sensor at the moment each was measured
    world     float32 [N, 3], the surface points, world frame
    material  int32 [N], instance uint16 [N]
    """

    cloud: PointCloud
    world: np.ndarray
    material: np.ndarray
    instance: np.ndarray


def sweep(
    rng: np.random.Generator,
    scene: Scene,
    unit: LidarUnit,
    T_start: np.ndarray,
    T_end: np.ndarray,
    t: float,
    stamp_ns: int,
) -> Scan:
    """One turn of ``unit`` beginning at ``t`` seconds, the sensor moving from pose ``T_start`` to ``T_end``."""
    spec = unit.spec
    beams, columns = len(unit.elevation), spec.columns
    share = (np.arange(columns, dtype=np.float32) + np.float32(rng.uniform(0, 1))) / columns
    azimuth = np.pi - 2 * np.pi * share[None, :] + unit.azimuth_offset[:, None]
    ce = np.cos(unit.elevation)[:, None]
    direction = np.stack([ce * np.cos(azimuth), ce * np.sin(azimuth),
                          np.broadcast_to(np.sin(unit.elevation)[:, None], (beams, columns))], -1)
    direction += rng.normal(0, 0.0002, direction.shape).astype(np.float32)
    ring = np.broadcast_to(np.arange(beams - 1, -1, -1, dtype=np.uint16)[:, None], (beams, columns))
    when = np.broadcast_to(share[None, :], (beams, columns))
    gain = np.broadcast_to(unit.gain[:, None], (beams, columns))
    if spec.column_major:
        direction, ring, when, gain = direction.swapaxes(0, 1), ring.T, when.T, gain.T
    direction = np.ascontiguousarray(direction, np.float32).reshape(-1, 3)
    ring, when, gain = ring.ravel(), when.ravel(), gain.ravel()

    rotation, origin = pose_along(T_start, T_end, when)
    world_direction = np.einsum('nij,nj->ni', rotation, direction).astype(np.float32)
    hits = _through_leaves(rng, scene, origin, world_direction, t + when * spec.period)
    intensity, distance, kept = _measure(rng, scene, unit, hits, world_direction, gain)
    kept &= ~unit.hidden(rng, direction)
    distance, intensity = distance[kept], intensity[kept]
    cloud = PointCloud(
        xyz=direction[kept] * distance[:, None],
        intensity=intensity,
        time=(when[kept] * np.float32(spec.period)),
        ring=ring[kept],
        stamp_ns=stamp_ns,
        frame_id='lidar',
    )
    world = origin[kept] + world_direction[kept] * hits.distance[kept][:, None]
    return Scan(cloud, world, hits.material[kept], hits.instance[kept])


def _small_rotation(angles: np.ndarray) -> np.ndarray:
    """3x3 rotation by roll, then pitch (radians)."""
    (cr, cp), (sr, sp) = np.cos(angles), np.sin(angles)
    return np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]]) @ np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])


def pose_along(T_start: np.ndarray, T_end: np.ndarray, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotations float32 [N, 3, 3] and origins float32 [N, 3] at each ``share`` of the way between two close poses."""
    relative = T_start[:3, :3].T @ T_end[:3, :3]
    w = (
        np.array([relative[2, 1] - relative[1, 2], relative[0, 2] - relative[2, 0], relative[1, 0] - relative[0, 1]])
        / 2
    )
    skew = np.array([[0, -w[2], w[1]], [w[2], 0, -w[0]], [-w[1], w[0], 0]])
    base, slope = T_start[:3, :3], T_start[:3, :3] @ skew
    rotation = base.astype(np.float32) + share[:, None, None] * slope.astype(np.float32)
    origin = T_start[:3, 3] + share[:, None] * (T_end[:3, 3] - T_start[:3, 3])
    return rotation, origin.astype(np.float32)


def _through_leaves(
    rng: np.random.Generator, scene: Scene, origin: np.ndarray, direction: np.ndarray, t: np.ndarray
) -> Hits:
    """Cast rays, of which some slip between the leaves they meet and end on what is behind, up to three times over."""
    hits = scene.cast(origin, direction, t)
    leafy = np.array([m.texture is Texture.LEAVES for m in scene.materials])
    share = np.float32(rng.uniform(0.25, 0.5))
    for _ in range(3):
        met = (hits.material >= 0) & leafy[hits.material]
        rows = np.flatnonzero(met & (rng.random(len(met), dtype=np.float32) < share))
        gone = hits.distance[rows] + 0.02 + 0.12 * rng.standard_exponential(len(rows), dtype=np.float32)
        behind = scene.cast(origin[rows] + gone[:, None] * direction[rows], direction[rows], t[rows])
        hits.distance[rows] = gone + behind.distance
        for mine, theirs in (
            (hits.material, behind.material),
            (hits.instance, behind.instance),
            (hits.normal, behind.normal),
            (hits.local, behind.local),
            (hits.face, behind.face),
        ):
            mine[rows] = theirs
    return hits


def _measure(
    rng: np.random.Generator, scene: Scene, unit: LidarUnit, hits: Hits, direction: np.ndarray, gain: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Reported intensity [R] 0..1, measured distance [R], and which of the R pulses come back [R]."""
    spec = unit.spec
    reflectance = np.array([m.reflectance for m in scene.materials], np.float32)
    lost = np.array([m.transmission for m in scene.materials], np.float32)
    softness = np.array([_SOFT.get(m.texture, 0.0) for m in scene.materials], np.float32)
    paved = np.array([m.texture is Texture.ASPHALT for m in scene.materials])
    count = len(hits.distance)
    hit = hits.material >= 0
    material = np.where(hit, hits.material, 0)
    distance = np.where(hit, hits.distance, 1.0).astype(np.float32)
    facing = np.abs(np.einsum('ij,ij->i', hits.normal, direction))
    rho = reflectance[material]
    # Diffuse surfaces look brighter square on; units report intensity nearly freed of range; dark ones read 0.
    soft = softness[material]
    lambert = np.where(soft > 0, 0.8, 0.55 + 0.45 * facing)
    noise = 1 + 0.16 * rng.standard_normal(count, dtype=np.float32)
    intensity = rho * lambert * gain * noise - spec.gain * (0.02 * rng.random(count, dtype=np.float32) + 0.015)
    intensity[_stained(hits.local) & (paved[material])] *= 0.1
    # Power that comes back falls with range squared and with grazing incidence: weak echoes are reported as 0,
    # weaker ones not at all.
    power = rho * np.maximum(np.where(soft > 0, 0.6, facing), 0.004) * np.square(45.0 / np.maximum(distance, 1.0))
    power *= rng.gamma(6.0, 1 / 6.0, count).astype(np.float32)
    intensity[(power < 0.024) | (rng.random(count, dtype=np.float32) < 0.02) | (intensity < 0.02 * spec.gain)] = 0
    intensity = np.clip(intensity, 0, 0.99).astype(np.float32)
    back = (power > 0.011) & (rng.random(count, dtype=np.float32) >= np.maximum(lost[material], 0.006))
    kept = hit & back & (hits.distance > spec.min_range) & (hits.distance < spec.max_range)
    measured = distance + unit.range_noise * rng.standard_normal(count, dtype=np.float32)
    measured += soft * rng.standard_exponential(count, dtype=np.float32)
    return intensity, measured.astype(np.float32), kept


def _stained(position: np.ndarray) -> np.ndarray:
    """bool [R]: whether a spot of road [R, 3] is worn, wet or tarred dark: about a tenth of half-metre patches."""
    cell = np.floor(position[:, :2] * 1.6).astype(np.int64)
    mixed = (cell[:, 0] * 73856093) ^ (cell[:, 1] * 19349663)
    mixed = (mixed ^ (mixed >> 13)) * 1274126177
    return ((mixed >> 7) & 1023) < 100
