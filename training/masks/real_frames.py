"""Masks of real frames: drawn over their images, and judged by the annotated boxes, which were never used otherwise.

There are no true masks, so an object counts as found when the points of some mask are those in its box: IoU over the
visible points of at least 0.5. Purity: share of masked box points whose mask has mostly points of that box.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from sam2amml_core.frame import CameraView, Frame, PointCloud
from sam2amml_core.geometry.projection import project
from sam2amml_core.geometry.visibility import visible_points
from sam2amml_core.io.facing import forward_rotation
from sam2amml_core.io.inputs import open_input
from sam2amml_core.masks.generator import MaskGenerator
from sam2amml_core.masks.lift import ids_at
from sam2amml_core.masks.mask_set import MaskSet
from sam2amml_core.viz.mask_overlay import mask_overlay
from training.boxes import Box, kitti_boxes, sample_boxes

LEAST_POINTS = 30
LEAST_IOU = 0.5
FRAMES = ('kitti_000000', 'kitti_000008', 'nuscenes_sample')


@dataclass(frozen=True, eq=False)
class RealView:
    """One image of a frame, its sweep, and the number of the box each point lies in, int32 [N], 0 = none."""

    name: str
    model: str
    view: CameraView
    cloud: PointCloud
    box: np.ndarray


@dataclass(frozen=True)
class BoxCounts:
    """objects: boxes with enough visible points; found: of those, by a mask; masked, pure: their points."""

    objects: int = 0
    found: int = 0
    points: int = 0
    masked: int = 0
    pure: int = 0

    def __add__(self, other: BoxCounts) -> BoxCounts:
        return BoxCounts(self.objects + other.objects, self.found + other.found, self.points + other.points,
                         self.masked + other.masked, self.pure + other.pure)


def real_views(data: Path) -> Iterator[RealView]:
    """All images of the frames with boxes that are there."""
    for name in FRAMES:
        folder = data / name
        if not folder.is_dir():
            continue
        source = open_input(folder)
        boxes, turn = _boxes(folder)
        for _, frame in source:
            inside = _inside(frame, boxes, turn)
            for view in frame.views:
                yield RealView(f'{name}_{view.camera.name}', source.model, view, frame.cloud, inside)


def count_boxes(real: RealView, masks: MaskSet) -> BoxCounts:
    """How well the masks of one view keep the boxes' points together."""
    points = project(real.cloud.xyz, [real.view.camera])[0]
    seen = visible_points(points, real.view.camera)
    ids, box = ids_at(points, masks.id_map)[seen], real.box[points.index[seen]]
    size = np.bincount(box)
    total = BoxCounts()
    for number in np.flatnonzero(size >= LEAST_POINTS):
        if number == 0:
            continue
        own = ids[box == number]
        shared = np.bincount(own, minlength=len(masks) + 1)
        area = np.bincount(ids, minlength=len(masks) + 1)
        iou = shared[1:] / np.maximum(area[1:] + len(own) - shared[1:], 1)
        mostly = shared > 0.5 * area
        masked = own > 0
        total += BoxCounts(1, int(len(iou) > 0 and iou.max() >= LEAST_IOU), len(own), int(masked.sum()),
                           int(mostly[own[masked]].sum()))
    return total


def draw(folder: Path, real: RealView, maker: MaskGenerator, masks: MaskSet) -> Path:
    """A picture of the masks over the image; returns its path."""
    path = folder / f'{real.name}_{maker.name}.jpg'
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), mask_overlay(real.view.image, masks.id_map)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    return path


def _boxes(folder: Path) -> tuple[list[Box], np.ndarray]:
    """Boxes in the frame of their file, and the turn [3, 3] from there to the frame the cloud is given in."""
    if (folder / 'sample.json').is_file():
        import json

        lidar = json.loads((folder / 'sample.json').read_text())['lidar']
        to_ego = lidar.get('lidar2ego')
        return sample_boxes(folder / 'sample.json'), forward_rotation(
            np.eye(4) if to_ego is None else np.array(to_ego, np.float64))
    return kitti_boxes(folder / 'label_2.txt', folder / 'calib.txt'), np.eye(3)


def _inside(frame: Frame, boxes: list[Box], turn: np.ndarray) -> np.ndarray:
    xyz = frame.cloud.xyz @ turn  # back to the file's frame
    number = np.zeros(len(xyz), np.int32)
    for position, box in enumerate(boxes, start=1):
        number[box.contains(xyz)] = position
    return number
