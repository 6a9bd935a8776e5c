"""One street of the benchmark StreetWorld, driven through and written in SemanticKITTI's layout or in nuScenes'."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from sam2amml_core.io.labels import make_folder
from sam2amml_core.masks.mask_set import Provenance, image_hash, make_mask_set
from sam2amml_core.masks.store import write_masks
from training.masks.precompute import mask_path
from training.masks.segments import exclusive_segments
from training.world.record import record, street_of
from training.world.sensors import SensorRig, kitti_rig, nuscenes_rig
from training.world.settings import SPLITS
from training.world.street import Street
from training.world.sweep import SyntheticSweep
from training.world.writers.nuscenes import NuScenesScene, SceneName
from training.world.writers.nuscenes_tables import scene_made_of
from training.world.writers.semantic_kitti import SemanticKittiSequence

Layout = Literal['semantic_kitti', 'nuscenes']

SPACING_S = 2.0
"""Between the sweeps of a street: near ones would hardly differ."""

IMAGE_SIZE = (800, 450)
"""Of the six cameras of nuScenes' rig: half of the real size in either direction, which drawing them takes."""

VERSION = 'v1.0-streetworld'
"""Of the tables in nuScenes' layout."""

MARK = 'world.json'
"""In a sequence's folder of SemanticKITTI's layout: what it is made of, and whether it is finished."""

_FIRST_SCENE = {'train': 0, 'val': 3000, 'test': 6000}


def rig_of(layout: Layout, cameras: int) -> SensorRig:
    """The vehicle's sensors, with ``cameras`` of its cameras: of 2 that look forwards, or of 6 all round."""
    rig = kitti_rig(cameras) if layout == 'semantic_kitti' else nuscenes_rig(cameras, IMAGE_SIZE)
    return rig if cameras else rig.without_cameras()


def street_name(layout: Layout, split: str, number: int) -> str:
    """Of street ``number`` of a split: train, val or test."""
    return f'{split}_{number:03d}' if layout == 'semantic_kitti' else _scene(split, number, 0).name


def street_made_of(layout: Layout, root: Path, split: str, number: int) -> object:
    """What the street that is finished in ``root`` was said to be made of; None if it is not there."""
    if layout == 'nuscenes':
        return scene_made_of(root, VERSION, street_name(layout, split, number))
    try:
        content = json.loads((root / 'sequences' / street_name(layout, split, number) / MARK).read_text('utf-8'))
        return content.get('made_of') if content.get('finished') else None
    except (OSError, ValueError, AttributeError):
        return None


def make_street(layout: Layout, root: Path, split: str, number: int, seed: int, world: str, sweeps: int, cameras: int,
                true_masks: bool, made_of: object) -> None:
    """Drive through the street of ``seed`` in the ``world`` split and write it; ``made_of`` is kept to know it again.

    With ``true_masks`` also the exact outlines of what the images show, as ``sam2amml masks`` writes masks.
    """
    import cv2

    cv2.setNumThreads(1)
    rig, name = rig_of(layout, cameras), street_name(layout, split, number)
    every = max(1, round(SPACING_S / rig.lidar.period))
    street = street_of(seed, SPLITS[world], rig, sweeps, every)
    write: Callable[[SyntheticSweep], str]
    finish: Callable[[], object]
    if layout == 'nuscenes':
        scene = NuScenesScene(root, _scene(split, number, seed), street, rig, made_of, key_every=1)
        write, finish = scene.write, scene.finish
    else:
        write, finish = _kitti(root / 'sequences' / name, rig, street, made_of)
    for sweep in record(seed, SPLITS[world], rig, sweeps, every, street=street):
        stem = write(sweep)
        if true_masks:
            _write_true_masks(root / 'true_masks', f'{name}/{stem}', sweep)
    finish()


def _kitti(folder: Path, rig: SensorRig, street: Street, made_of: object
           ) -> tuple[Callable[[SyntheticSweep], str], Callable[[], object]]:
    (make_folder(folder) / MARK).unlink(missing_ok=True)
    moving = [thing.instance for thing in street.objects if thing.moving]
    writer = SemanticKittiSequence(folder, kitti_rig(2).cameras, rig.lidar.period, moving)
    mark = json.dumps({'made_of': made_of, 'finished': True})
    return writer.write, lambda: (folder / MARK).write_text(mark, encoding='utf-8')


def _scene(split: str, number: int, seed: int) -> SceneName:
    return SceneName(VERSION, split, _FIRST_SCENE[split] + number, seed)


def _write_true_masks(folder: Path, name: str, sweep: SyntheticSweep) -> None:
    for view, truth in zip(sweep.frame.views, sweep.pixels, strict=True):
        ids, _ = exclusive_segments(truth)
        path = mask_path(folder, view.camera.name, name)
        make_folder(path.parent)
        write_masks(path, make_mask_set(ids, Provenance('truth', image=image_hash(view.image))))
