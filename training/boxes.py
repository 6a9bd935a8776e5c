"""Annotated 3D boxes of KITTI and nuScenes, in the LiDAR frame."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sam2amml_core.errors import InputError

CLEARANCE = 0.2
"""Metres cut from a box's floor: what lies there is mostly ground."""


@dataclass(frozen=True, eq=False)

class Box:
    """A box of ``kind`` (lower case) around ``centre`` [3] with ``size`` (length, width, height), metres.

    ``axes`` float64 [3, 3]: its columns are the unit vectors of length, width and height in the LiDAR frame.
    """

    kind: str
    centre: np.ndarray
    size: np.ndarray
    axes: np.ndarray

    def contains(self, xyz: np.ndarray) -> np.ndarray:
        """bool [N]: inside, above the clearance over the floor."""
        local = (xyz - self.centre) @ self.axes
        half = self.size / 2
        return (np.abs(local) <= half).all(axis=1) & (local[:, 2] >= CLEARANCE - half[2])


def sample_boxes(path: Path) -> list[Box]:
    """Boxes of a ``sample.json``: centre of gravity, size l w h, yaw about z, LiDAR frame."""
    boxes = []
    for entry in json.loads(path.read_text(encoding='utf-8'))['boxes']:
        c, s = np.cos(entry['yaw']), np.sin(entry['yaw'])
        axes = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        boxes.append(Box(entry['class'].lower(), np.array(entry['centre']), np.array(entry['size_lwh']), axes))
    return boxes


def kitti_boxes(labels: Path, calibration: Path) -> list[Box]:
    """Boxes of a KITTI object ``label_2`` file, moved from the rectified camera to the LiDAR frame.

    In the file: height, width, length, centre of the floor (camera: x right, y down, z forward), turn about y.
    """
    T_camera_lidar = _kitti_transform(calibration)
    T_lidar_camera = np.linalg.inv(T_camera_lidar)
    boxes = []
    for line in labels.read_text(encoding='utf-8').splitlines():
        words = line.split()
        if len(words) < 15 or words[0] == 'DontCare':
            continue
        height, width, length, x, y, z, turn = (float(w) for w in words[8:15])
        c, s = np.cos(turn), np.sin(turn)
        axes = np.array([[c, s, 0], [0, 0, -1], [-s, c, 0]])  # columns: length, width, up, camera frame
        centre = T_lidar_camera @ np.array([x, y - height / 2, z, 1])
        size = np.array([length, width, height])
        boxes.append(Box(words[0].lower(), centre[:3], size, T_lidar_camera[:3, :3] @ axes))
    return boxes


def _kitti_transform(path: Path) -> np.ndarray:
    """4x4 from the LiDAR to the rectified camera: R0_rect after Tr_velo_to_cam."""
    rows = {}
    for line in path.read_text(encoding='utf-8').splitlines():
        name, _, values = line.partition(':')
        if values.strip():
            rows[name.strip()] = np.array(values.split(), float)
    missing = [k for k in ('R0_rect', 'Tr_velo_to_cam') if k not in rows]
    if missing:
        raise InputError(f'{path} has no {" and no ".join(missing)}; give the calib.txt of the KITTI object data')
    rectify, transform = np.eye(4), np.eye(4)
    rectify[:3, :3] = rows['R0_rect'].reshape(3, 3)
    transform[:3] = rows['Tr_velo_to_cam'].reshape(3, 4)
    return rectify @ transform
