"""3D boxes of the synthetic world as nuScenes annotates them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sam2amml_core.labels import NUSCENES
from training.world.classes import NUSCENES_RAW, WORLD_CLASSES
from training.world.objects import WorldObject
from training.world.scene import Scene
from training.world.sweep import SyntheticSweep
from training.world.writers.nuscenes_tables import Record, pose_fields, token

MARGIN_M = 0.05
"""Boxes are this much larger than their objects on every side, as annotators draw them: noisy points lie inside."""

_GRID = np.stack(np.meshgrid(*[np.linspace(-0.4, 0.4, n) for n in (5, 3, 5)], indexing='ij'), -1).reshape(-1, 3)


def annotate(scene: Scene, objects: Sequence[WorldObject], sweep: SyntheticSweep, t: float, sample: str, key: str,
             shift: np.ndarray) -> list[Record]:
    """``sample_annotation`` records, without ``prev`` and ``next``, of the objects that the sweep has a point on.

    t      seconds of the start of the sweep; every box stands where its object was when the LiDAR met it
    sample token of the sample; ``key`` tells scenes apart
    shift  [3], from the street's frame to the global one
    """
    counts = np.bincount(sweep.point_instance, minlength=max([o.instance for o in objects], default=0) + 1)
    time = sweep.frame.cloud.time
    total = np.bincount(sweep.point_instance, weights=time, minlength=len(counts))
    met = [o for o in objects if counts[o.instance]]
    when = np.array([t + total[o.instance] / counts[o.instance] for o in met])
    shares = visible_shares(scene, met, when, sweep.T_world_lidar[:3, 3])
    records = []
    for thing, moment, share in zip(met, when, shares, strict=True):
        box = thing.box(float(moment))
        box[:3, 3] += shift
        length, width, height = (float(x) for x in thing.size + 2 * MARGIN_M)
        records.append({
            'token': token('annotation', sample, thing.instance), 'sample_token': sample,
            'instance_token': token('instance', key, thing.instance),
            'visibility_token': str(1 + int(np.searchsorted((0.4, 0.6, 0.8), share))),
            'attribute_tokens': [token('attribute', name) for name in _attributes(thing)],
            **pose_fields(box), 'size': [width, length, height],
            'num_lidar_pts': int(counts[thing.instance]), 'num_radar_pts': 0,
        })
    return records


def visible_shares(scene: Scene, objects: Sequence[WorldObject], when: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Share of each object, float [len(objects)], that nothing hides from ``origin`` [3] at time ``when`` (seconds).

    Of the rays to a grid of spots inside its box those count that end on the object or before it.
    """
    if not objects:
        return np.zeros(0)
    boxes = [thing.box(float(t)) for thing, t in zip(objects, when, strict=True)]
    spots = np.stack([(_GRID * o.size) @ T[:3, :3].T + T[:3, 3] for o, T in zip(objects, boxes, strict=True)])
    away = (spots - origin).reshape(-1, 3)
    distance = np.linalg.norm(away, axis=1)
    directions = (away / distance[:, None]).astype(np.float32)
    origins = np.broadcast_to(origin.astype(np.float32), directions.shape)
    hits = scene.cast(np.ascontiguousarray(origins), directions, np.repeat(when, len(_GRID)))
    own = hits.instance.reshape(-1, len(_GRID)) == np.array([o.instance for o in objects])[:, None]
    hidden = (hits.distance < distance).reshape(own.shape) & ~own
    return own.sum(1) / np.maximum((own | hidden).sum(1), 1)


def category(thing: WorldObject) -> str:
    """nuScenes' name of what it is."""
    return NUSCENES.raw_names[int(NUSCENES_RAW[thing.class_id])]


def _attributes(thing: WorldObject) -> tuple[str, ...]:
    name = WORLD_CLASSES[thing.class_id].name
    if name == 'person':
        return ('pedestrian.moving' if thing.moving else 'pedestrian.standing',)
    if name in ('bicyclist', 'motorcyclist'):
        return ('cycle.with_rider',)
    if name in ('bicycle', 'motorcycle'):
        return ('cycle.without_rider',)
    return ('vehicle.moving' if thing.moving else 'vehicle.parked',)
