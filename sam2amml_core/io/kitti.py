"""KITTI in its layouts: SemanticKITTI/odometry sequence, object split, raw drive, or one sweep with its image."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.frame import CameraView, Frame
from sam2amml_core.geometry.kitti import KittiCalibration, read_kitti_calib
from sam2amml_core.io.bin_folder import PERIOD_NS
from sam2amml_core.io.clouds import read_kitti_bin
from sam2amml_core.io.images import read_image
from sam2amml_core.io.labels import read_label

logger = logging.getLogger(__name__)

CLOUDS = ('velodyne', 'velodyne_points/data')
IMAGES = {2: ('image_2', 'image_02/data', 'image_02'), 3: ('image_3', 'image_03/data', 'image_03')}


@dataclass(frozen=True)
class Sweep:
    """Files of one sweep; images by camera number."""

    name: str
    cloud: Path
    images: dict[int, Path]
    calibration: Path
    label: Path
    stamp_ns: int


class KittiFolder:
    """A KITTI folder: sweeps, the colour images (cameras 2 and 3) that exist, and labels that exist.

    The calibration is ``calib.txt``, else ``calib/<sweep>.txt`` (object), else the raw pair of files in the folder or
    above it. ``times.txt`` (odometry) gives the stamps, else 10 Hz is assumed.
    """

    kind = 'KITTI recording'
    model = 'street64'
    schema = 'semantic_kitti'

    def __init__(self, path: Path, images: bool = True) -> None:
        self.path = Path(path)
        self._calibrations: dict[Path, KittiCalibration] = {}
        self._sweeps = {sweep.name: sweep for sweep in self._find(images)}
        if not self._sweeps:
            raise InputError(f'{path} holds no sweep: expected velodyne/*.bin, velodyne_points/data/*.bin '
                             'or velodyne.bin')
        if images and not any(sweep.images for sweep in self._sweeps.values()):
            logger.info('%s has no image for its sweeps', path)

    def __len__(self) -> int:
        return len(self._sweeps)

    def __iter__(self) -> Iterator[tuple[str, Frame]]:
        for name, sweep in self._sweeps.items():
            cloud = read_kitti_bin(sweep.cloud, sweep.stamp_ns)
            yield name, Frame(cloud, tuple(self._view(sweep, number) for number in sweep.images))

    def truth(self, name: str) -> np.ndarray | None:
        label = self._sweeps[name].label
        return read_label(label) & 0xFFFF if label.is_file() else None

    def _view(self, sweep: Sweep, number: int) -> CameraView:
        image = read_image(sweep.images[number])
        if sweep.calibration not in self._calibrations:
            self._calibrations[sweep.calibration] = read_kitti_calib(sweep.calibration)
        height, width = image.shape[:2]
        camera = self._calibrations[sweep.calibration].camera(number, width, height)
        return CameraView(camera, image, sweep.stamp_ns)

    def _find(self, images: bool) -> Iterator[Sweep]:
        single = self.path / 'velodyne.bin'
        if single.is_file():
            found = {number: path for number in IMAGES if (path := self.path / f'image_{number}.png').is_file()}
            yield Sweep(self.path.name, single, found if images else {}, self._calibration(''),
                        self.path / 'velodyne.label', 0)
            return
        folder = next((self.path / name for name in CLOUDS if (self.path / name).is_dir()), self.path / CLOUDS[0])
        stamps = self._stamps()
        for number, cloud in enumerate(sorted(folder.glob('*.bin'))):
            found = {}
            for camera, places in IMAGES.items() if images else ():
                at = (self.path / place / f'{cloud.stem}{suffix}' for place in places for suffix in ('.png', '.jpg'))
                image = next((path for path in at if path.is_file()), None)
                if image is not None:
                    found[camera] = image
            stamp = stamps[number] if number < len(stamps) else number * PERIOD_NS
            yield Sweep(cloud.stem, cloud, found, self._calibration(cloud.stem),
                        self.path / 'labels' / f'{cloud.stem}.label', stamp)

    def _calibration(self, stem: str) -> Path:
        for folder in (self.path, self.path.parent):
            if (folder / 'calib_cam_to_cam.txt').is_file():
                return folder
        each = self.path / 'calib' / f'{stem}.txt'
        return each if each.is_file() else self.path / 'calib.txt'

    def _stamps(self) -> list[int]:
        path = self.path / 'times.txt'
        if not path.is_file():
            return []
        try:
            return [round(float(word) * 1e9) for word in path.read_text().split()]
        except ValueError as error:
            raise InputError(f'{path}: {error}; it must hold one time in seconds a line') from error
