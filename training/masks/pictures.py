"""Pictures for training a promptable segmenter: camera images of synthetic streets with their exact segments.

They are rendered small (``HEIGHT`` pixels high, as wide as the camera's image is) because the networks trained on them
see no more. One ``.npz`` file each, written whole or not at all, so that the making can go on where it stopped.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.frame import Camera
from training.masks.segments import exclusive_segments
from training.sweep_writer import FIRST_SEED
from training.world.camera import CameraLook, render
from training.world.lidar import LidarUnit
from training.world.record import lidar_pose, street_of
from training.world.sensors import SensorRig, kitti_rig, nuscenes_rig
from training.world.settings import SPLITS

HEIGHT = 256
"""Pixels; of every picture."""

SPACING_S = 1.7
"""Time between two pictures of one street."""


@dataclass(frozen=True, eq=False)
class Picture:
    """image uint8 [H, W, 3] RGB; ids uint16 [H, W], 0 = none; classes uint8 [K + 1], world class of each id."""

    image: np.ndarray
    ids: np.ndarray
    classes: np.ndarray


def write_pictures(folder: Path, split: str, streets: int, per_street: int = 12, first: int = 0) -> Iterator[Path]:
    """Write and yield the pictures of ``streets`` streets; those that are there are kept.

    Streets take turns between KITTI's and nuScenes' camera. The same arguments give the same bytes.
    Raises InputError for an unknown split.
    """
    if split not in SPLITS:
        raise InputError(f'no split {split!r}; choose one of {", ".join(SPLITS)}')
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + streets):
        paths = [folder / f'street_{number:05d}_{i:02d}.npz' for i in range(per_street)]
        if all(path.exists() for path in paths):
            continue
        for path, picture in zip(paths, _drive(number, split, per_street), strict=True):
            save_picture(path, picture)
            yield path


def _drive(number: int, split: str, per_street: int) -> Iterator[Picture]:
    rig = kitti_rig(1) if number % 2 == 0 else nuscenes_rig(6)
    seed = FIRST_SEED[split] + number
    every = max(1, round(SPACING_S / rig.lidar.period))
    street = street_of(seed, SPLITS[split], rig, per_street, every)
    rng = np.random.default_rng([seed, 7])
    unit = LidarUnit.draw(rng, rig.lidar, 1.0, 0.01)
    for index in range(per_street):
        camera = small_camera(_camera(rig, index))
        t = index * every * rig.lidar.period
        look = CameraLook.draw(rng, exposure=float(rng.uniform(0.85, 1.2)))
        pose = lidar_pose(street, unit, t) @ np.linalg.inv(camera.T_camera_lidar)
        image, truth = render(street.scene, camera, pose, t, rng, look)
        yield Picture(image, *exclusive_segments(truth))


def _camera(rig: SensorRig, index: int) -> Camera:
    """The front camera every other time, else the others in turn."""
    return rig.cameras[0] if index % 2 == 0 else rig.cameras[(index // 2) % len(rig.cameras)]


def small_camera(camera: Camera, height: int = HEIGHT) -> Camera:
    """The same view with ``height`` rows, aspect kept to a pixel."""
    width = round(camera.width * height / camera.height)
    scale = np.diag([width / camera.width, height / camera.height, 1.0])
    return Camera(camera.name, width, height, scale @ camera.projection, camera.T_camera_lidar, camera.distortion)


def save_picture(path: Path, picture: Picture) -> None:
    """Write a picture, whole or not at all."""
    temporary = path.with_name(f'.{path.stem}.{os.getpid()}.npz')
    np.savez_compressed(temporary, image=picture.image, ids=picture.ids, classes=picture.classes)
    os.replace(temporary, path)


def read_picture(path: Path) -> Picture:
    """Raises InputError when the file is missing, truncated or no picture."""
    try:
        with np.load(path) as content:
            picture = Picture(content['image'], content['ids'], content['classes'])
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise InputError(f'{path} is no picture ({error}); delete it and run `sam2amml pictures` again') from error
    if picture.ids.shape != picture.image.shape[:2]:
        raise InputError(f'{path}: image {picture.image.shape} and ids {picture.ids.shape} differ; delete it and run '
                         '`sam2amml pictures` again')
    return picture
