"""Small data sets in public layouts, for tests that read them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from sam2amml_core.frame import CameraView, Frame
from training.world.record import record, street_of
from training.world.sensors import SensorRig, hdl32, hdl64, kitti_rig, nuscenes_rig
from training.world.settings import TEST
from training.world.street import Street
from training.world.sweep import SyntheticSweep
from training.world.writers.nuscenes import NuScenesScene, SceneName
from training.world.writers.nuscenes_tables import merge_scenes
from training.world.writers.semantic_kitti import SemanticKittiSequence

Written = tuple[Path, list[SyntheticSweep], SensorRig]

SEED = 2_000_011
SWEEPS = 3
VERSION = 'v1.0-synthetic'


def with_images(sweep: SyntheticSweep, rig: SensorRig) -> SyntheticSweep:
    """The sweep with black images taken in its middle."""
    stamp = sweep.frame.cloud.stamp_ns + round(rig.lidar.period * 5e8)
    views = tuple(CameraView(c, np.zeros((c.height, c.width, 3), np.uint8), stamp) for c in rig.cameras)
    return replace(sweep, frame=Frame(sweep.frame.cloud, views))


def small(rig: SensorRig) -> SensorRig:
    """The same with images of an eighth of the size."""
    scale = np.diag([0.125, 0.125, 1.0])
    return SensorRig(rig.lidar, tuple(replace(c, width=c.width // 8, height=c.height // 8,
                                              projection=scale @ c.projection) for c in rig.cameras))


def build() -> Street:
    """One street for both data sets: building it takes longer than all that is tested on it."""
    return street_of(SEED, TEST, nuscenes_rig(), 11)


def write_kitti(root: Path, street: Street) -> Written:
    """Sequence 00 for training, 08 for validation, 11 without labels as in the test split."""
    rig = small(SensorRig(hdl64(128), kitti_rig(1).cameras))
    sweeps = list(record(SEED, TEST, rig.without_cameras(), SWEEPS, street=street))
    for name in ('00', '08', '11'):
        writer = SemanticKittiSequence(root / 'dataset' / 'sequences' / name, rig.cameras, rig.lidar.period,
                                       [o.instance for o in street.objects if o.moving])
        for sweep in sweeps:
            writer.write(with_images(sweep, rig))
    shutil.rmtree(root / 'dataset' / 'sequences' / '11' / 'labels')
    return root, sweeps, rig


def write_nuscenes(root: Path, street: Street) -> Written:
    """Two scenes of two key frames each, with six cameras."""
    rig = small(SensorRig(hdl32(180), nuscenes_rig(6).cameras))
    sweeps = list(record(SEED, TEST, rig.without_cameras(), 11, street=street))
    for number in (3, 4):  # scene-0003 is of nuScenes' validation split, scene-0004 is not
        writer = NuScenesScene(root, SceneName(VERSION, f'test{number}', number, SEED), street, rig)
        for i, sweep in enumerate(sweeps):
            writer.write(with_images(sweep, rig) if i % 10 == 0 else sweep)
        writer.finish()
    merge_scenes(root, VERSION)
    return root, sweeps, rig
