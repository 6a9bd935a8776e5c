"""Held-out synthetic views with exact truth, on which makers of masks are compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.frame import CameraView, Frame, PointCloud
from sam2amml_core.geometry.projection import ProjectedPoints, project
from sam2amml_core.geometry.visibility import visible_points
from sam2amml_core.labels import SEMANTIC_KITTI
from training.sweep_writer import FIRST_SEED
from training.world.classes import SEMANTIC_KITTI_RAW
from training.world.record import record
from training.world.sensors import kitti_rig, nuscenes_rig
from training.world.settings import SPLITS
from training.world.sweep import PixelTruth


@dataclass(frozen=True, eq=False)
class Scene:
    """One view and its sweep.

    truth        of the pixels
    point_class  uint8 [N], SemanticKITTI train ids
    point_object uint16 [N], instances
    points       those of the sweep inside the image; seen: bool [K], which of them the camera sees, by the truth
    """

    view: CameraView
    cloud: PointCloud
    truth: PixelTruth
    point_class: np.ndarray
    point_object: np.ndarray
    points: ProjectedPoints
    seen: np.ndarray

    @property
    def frame(self) -> Frame:
        return Frame(self.cloud, (self.view,))


def draw_scenes(rig: str, worlds: int, split: str = 'test', first: int = 0) -> Iterator[Scene]:
    """One view of each world, of the front camera, some way into its drive. Raises InputError for unknown names."""
    if rig not in ('kitti', 'nuscenes'):
        raise InputError(f'no rig {rig!r}; choose kitti or nuscenes')
    if split not in SPLITS:
        raise InputError(f'no split {split!r}; choose one of {", ".join(SPLITS)}')
    sensors = kitti_rig(1) if rig == 'kitti' else nuscenes_rig(1)
    for number in range(first, first + worlds):
        sweep = next(iter(record(FIRST_SEED[split] + number, SPLITS[split], sensors, 20, 5, indices=[3 + number % 9])))
        view, cloud = sweep.frame.views[0], sweep.frame.cloud
        points = project(cloud.xyz, [view.camera])[0]
        seen = sweep.point_visible[0][points.index] & visible_points(points, view.camera)
        classes = SEMANTIC_KITTI.raw_to_train[SEMANTIC_KITTI_RAW[sweep.point_class]]
        yield Scene(view, cloud, sweep.pixels[0], classes, sweep.point_instance, points, seen)
