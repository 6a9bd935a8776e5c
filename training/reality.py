"""How a network that saw only the synthetic world does on real sweeps.

The frames lie outside the project and serve for this check alone: never for training, nor for choosing weights.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.frame import Frame, PointCloud
from sam2amml_core.labels import COARSE_NAMES, SEMANTIC_KITTI, SEMANTIC_KITTI_TO_COARSE
from sam2amml_core.metrics import ConfusionMatrix
from sam2amml_core.segmenter import Segmenter
from training.boxes import Box, kitti_boxes, sample_boxes

VEHICLES = ('car', 'truck', 'other-vehicle')
VEHICLE_BOXES = ('car', 'van', 'truck', 'bus', 'trailer', 'construction_vehicle', 'tram')
PERSON_BOXES = ('pedestrian', 'person_sitting', 'person')
KITTI_SWEEP, KITTI_IMAGES = 'semantic_kitti_00_000000', 'labelled_range_images/semantic_kitti.npz'
NUSCENES_IMAGES = 'labelled_range_images/nuscenes.npz'


@dataclass
class Score:
    """One line of the report: ``value`` in percent; IoU by class where there is one."""

    name: str
    measure: str
    value: float
    points: int
    per_class: dict[str, float] = field(default_factory=dict)


def scores(data: Path, beams64: Segmenter | None, beams32: Segmenter | None) -> Iterator[Score]:
    """Every check whose data lies in ``data`` and whose model is given; models speak SemanticKITTI's classes.

    Raises ``InputError`` if the folder is missing.
    """
    if not data.is_dir():
        raise InputError(f'no folder {data}; give the folder of real frames with --data')
    if beams64 is not None:
        yield from _kitti(data, beams64)
    if beams32 is not None:
        yield from _nuscenes(data, beams32)


def _kitti(data: Path, segmenter: Segmenter) -> Iterator[Score]:
    folder = data / KITTI_SWEEP
    if folder.is_dir():
        cloud = _velodyne(folder / '000000.bin')
        raw = np.fromfile(folder / '000000.label', '<u4') & 0xFFFF
        matrix = ConfusionMatrix(len(SEMANTIC_KITTI.names) - 1)
        matrix.add(segmenter.segment(Frame(cloud)).class_id, SEMANTIC_KITTI.raw_to_train[raw])
        yield _iou(KITTI_SWEEP, matrix, SEMANTIC_KITTI.names)
    if (data / KITTI_IMAGES).is_file():
        matrix = ConfusionMatrix(len(SEMANTIC_KITTI.names) - 1)
        for cloud, label in range_image_sweeps(data / KITTI_IMAGES, 1.0):
            matrix.add(segmenter.segment(Frame(cloud)).class_id, label)
        yield _iou(KITTI_IMAGES, matrix, SEMANTIC_KITTI.names)
    folder = data / 'kitti_000000'
    if folder.is_dir():
        boxes = kitti_boxes(folder / 'label_2.txt', folder / 'calib.txt')
        yield _in_boxes('kitti_000000', segmenter, _velodyne(folder / 'velodyne.bin'), boxes, PERSON_BOXES, ('person',))
    folder = data / 'kitti_000008'
    if folder.is_dir():
        boxes = sample_boxes(folder / 'sample.json')
        yield _in_boxes('kitti_000008', segmenter, _velodyne(folder / 'velodyne.bin'), boxes, VEHICLE_BOXES, VEHICLES)


def _nuscenes(data: Path, segmenter: Segmenter) -> Iterator[Score]:
    if (data / NUSCENES_IMAGES).is_file():
        names = ('none', *COARSE_NAMES)
        none = COARSE_NAMES.index('none')
        matrix = ConfusionMatrix(len(COARSE_NAMES))
        for cloud, label in range_image_sweeps(data / NUSCENES_IMAGES, 1 / 255):
            found = segmenter.segment(Frame(cloud)).class_id
            matrix.add(to_coarse(found), np.where(label == none, 0, label + 1))
        yield _iou(NUSCENES_IMAGES, matrix, names)
    folder = data / 'nuscenes_sample'
    if folder.is_dir():
        content = json.loads((folder / 'sample.json').read_text(encoding='utf-8'))
        points = np.fromfile(folder / content['lidar']['file'], '<f4').reshape(-1, 5)
        cloud = PointCloud(np.ascontiguousarray(points[:, :3]), points[:, 3] / 255, ring=points[:, 4].astype(np.uint16))
        boxes = sample_boxes(folder / 'sample.json')
        yield _in_boxes('nuscenes_sample', segmenter, cloud, boxes, VEHICLE_BOXES, VEHICLES)


def to_coarse(class_id: np.ndarray) -> np.ndarray:
    """Train ids of SemanticKITTI (or 255) to 1 + coarse id; 0 = no coarse class."""
    table = np.zeros(256, np.uint8)
    known = np.asarray(SEMANTIC_KITTI_TO_COARSE)
    table[:len(known)] = np.where(known == COARSE_NAMES.index('none'), 0, known + 1)
    return table[class_id]


def range_image_sweeps(path: Path, intensity_scale: float) -> Iterator[tuple[PointCloud, np.ndarray]]:
    """The measured pixels of labelled range images, as clouds with labels uint8 [N]."""
    with np.load(path) as content:
        images, labels = content['xyzi'], content['label']
    for image, label in zip(images, labels, strict=True):
        measured = np.abs(image[..., :3]).sum(-1) > 0
        points = image[measured].astype(np.float32)
        cloud = PointCloud(np.ascontiguousarray(points[:, :3]), points[:, 3] * np.float32(intensity_scale))
        yield cloud, label[measured]


def _velodyne(path: Path) -> PointCloud:
    points = np.fromfile(path, '<f4').reshape(-1, 4)
    return PointCloud(np.ascontiguousarray(points[:, :3]), np.ascontiguousarray(points[:, 3]))


def _iou(name: str, matrix: ConfusionMatrix, names: tuple[str, ...]) -> Score:
    return Score(name, 'mIoU', 100 * matrix.miou(), int(matrix.counts.sum()), matrix.per_class(names))


def _in_boxes(name: str, segmenter: Segmenter, cloud: PointCloud, boxes: list[Box], kinds: tuple[str, ...],
              classes: tuple[str, ...]) -> Score:
    """Share of the points in annotated boxes of ``kinds`` that are labelled as one of ``classes``."""
    inside = np.zeros(len(cloud), bool)
    for box in boxes:
        if box.kind in kinds:
            inside |= box.contains(cloud.xyz)
    wanted = [SEMANTIC_KITTI.names.index(c) for c in classes]
    found = segmenter.segment(Frame(cloud)).class_id[inside]
    measure = f'points in {"person" if classes == ("person",) else "vehicle"} boxes labelled so'
    value = 100 * float(np.isin(found, wanted).mean()) if inside.any() else float('nan')
    counts = np.bincount(found, minlength=256)
    shares = {(*SEMANTIC_KITTI.names, *['unknown'] * 236)[i]: round(100 * counts[i] / max(len(found), 1), 1)
              for i in np.argsort(-counts)[:5] if counts[i]}
    return Score(name, measure, value, int(inside.sum()), shares)
