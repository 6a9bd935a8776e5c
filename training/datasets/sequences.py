"""Sequence folders as SemanticKITTI has them: ``velodyne``, ``labels``, ``calib.txt``, ``poses.txt``, images.

In these files the cloud is N x 4 float32, a label is 32 bit with the class in the lower 16 and the instance above, the
official colour map is in BGR order (``sam2amml_core.labels`` holds RGB), and poses are those of camera 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.frame import CameraView, PointCloud
from sam2amml_core.geometry.kitti import KittiCalibration, read_kitti_calib
from sam2amml_core.geometry.transforms import invert
from sam2amml_core.io.clouds import read_kitti_bin, read_nuscenes_bin
from sam2amml_core.io.images import read_image
from sam2amml_core.io.labels import read_label
from sam2amml_core.labels import SEMANTIC_KITTI, ClassSchema
from training.datasets.scans import Scan, Truth, size_of, to_train
from training.datasets.splits import named_splits

SPLITS: dict[str, tuple[int, ...]] = {
    'train': (0, 1, 2, 3, 4, 5, 6, 7, 9, 10), 'val': (8,), 'trainval': (*range(11),), 'test': (*range(11, 22),)}
"""SemanticKITTI's sequences; papers say whether they trained on ``train`` or ``trainval``."""

CAMERAS = (2, 3)
_IMAGES = ('.png', '.jpg')


class SequenceFolders:
    """Labelled sweeps of some sequence folders, in their order.

    folders  each with ``velodyne/*.bin``; ``labels/*.label`` unless none of the folder's sweeps is labelled
    rings    the clouds are N x 5 with intensity 0..255 and a ring (nuScenes' form) instead of N x 4
    Raises InputError when a folder holds no sweep, or labels for some of its sweeps only.
    """

    def __init__(self, folders: Sequence[Path], schema: ClassSchema, rings: bool = False) -> None:
        self.schema = schema
        self._rings = rings
        self._folder: list[Path] = []
        self._calibrations: dict[Path, KittiCalibration] = {}
        self._sizes: dict[Path, tuple[int, int]] = {}
        self._labelled: dict[Path, bool] = {}
        scans = []
        for folder in folders:
            names = sorted(path.stem for path in (folder / 'velodyne').glob('*.bin'))
            if not names:
                raise InputError(f'{folder / "velodyne"} holds no sweep (*.bin); unpack the clouds there')
            self._labelled[folder] = _has_labels(folder, names)
            scans += [Scan(f'{folder.name}/{name}', folder.name) for name in names]
            self._folder += [folder] * len(names)
        self.scans: Sequence[Scan] = tuple(scans)

    def __len__(self) -> int:
        return len(self.scans)

    def cloud(self, index: int) -> PointCloud:
        path = self._path(index, 'velodyne', '.bin')
        return read_nuscenes_bin(path) if self._rings else read_kitti_bin(path)

    def points(self, index: int) -> int:
        return size_of(self._path(index, 'velodyne', '.bin')) // (20 if self._rings else 16)

    def truth(self, index: int) -> Truth | None:
        if not self._labelled[self._folder[index]]:
            return None
        path = self._path(index, 'labels', '.label')
        raw = read_label(path, self.points(index))
        return Truth(to_train(self.schema, raw & 0xFFFF, path), raw >> 16)

    def views(self, index: int, images: bool = True) -> tuple[CameraView, ...]:
        found = []
        for number in CAMERAS:
            folder = self._folder[index] / f'image_{number}'
            name = self.scans[index].name.rpartition('/')[2]
            path = next((p for suffix in _IMAGES if (p := folder / (name + suffix)).is_file()), None)
            if path is None:
                continue
            image = read_image(path) if images or folder not in self._sizes else np.zeros((0, 0, 3), np.uint8)
            if image.size:  # one size in all of a sequence, but not in all sequences
                self._sizes[folder] = (image.shape[1], image.shape[0])
            camera = self._calibration(index).camera(number, *self._sizes[folder])
            found.append(CameraView(camera, image if images else np.zeros((0, 0, 3), np.uint8)))
        return tuple(found)

    def pose(self, index: int) -> np.ndarray:
        """T_first_lidar float64 [4, 4]: the LiDAR's pose in the LiDAR frame of its sequence's first sweep.

        ``poses.txt`` holds poses of camera 0; a LiDAR pose is inv(Tr) pose Tr. Raises InputError naming the file.
        """
        folder = self._folder[index]
        path = folder / 'poses.txt'
        try:
            poses = np.loadtxt(path, ndmin=2)
        except (OSError, ValueError) as error:
            raise InputError(f'{path} cannot be read: {error}; it must hold 12 numbers a line') from error
        number = index - self._folder.index(folder)
        if poses.shape[1:] != (12,) or len(poses) <= number:
            raise InputError(f'{path} holds {poses.shape} numbers; sweep {number} needs a line of 12')
        Tr = self._calibration(index).T_cam0_lidar
        return invert(Tr) @ np.vstack([poses[number].reshape(3, 4), [0, 0, 0, 1]]) @ Tr

    def _path(self, index: int, kind: str, suffix: str) -> Path:
        return self._folder[index] / kind / (self.scans[index].name.rpartition('/')[2] + suffix)

    def _calibration(self, index: int) -> KittiCalibration:
        path = self._folder[index] / 'calib.txt'
        if path not in self._calibrations:
            self._calibrations[path] = read_kitti_calib(path)
        return self._calibrations[path]


def semantic_kitti(root: Path, split: str = 'train') -> SequenceFolders:
    """A split of SemanticKITTI; ``root`` is the folder that holds ``sequences``, or ``dataset/sequences``.

    ``split`` is one of ``SPLITS``, or names of sequences joined by commas (``08`` or ``00,01,02``), or ``all``. Where a
    file ``splits.yaml`` beside ``sequences`` maps splits to names of sequences, it takes the place of ``SPLITS``.
    Raises InputError when the folders are not there.
    """
    home = next((p for p in (root / 'sequences', root / 'dataset' / 'sequences') if p.is_dir()), None)
    if home is None:
        raise InputError(f'{root} holds no folder sequences, nor dataset/sequences; give the root of SemanticKITTI')
    splits = named_splits(home.parent) or {name: [f'{n:02d}' for n in numbers] for name, numbers in SPLITS.items()}
    if split == 'all':
        names = sorted(path.name for path in home.iterdir() if (path / 'velodyne').is_dir())
    else:
        names = splits.get(split) or [name.strip() for name in split.split(',')]
    missing = [name for name in names if not (home / name).is_dir()]
    if missing or not names:
        raise InputError(f'{home} lacks sequences {", ".join(missing[:12])} of split {split!r}; unpack them, or choose '
                         f'one of {", ".join(splits)}, all, or names such as 00,01')
    return SequenceFolders([home / name for name in names], SEMANTIC_KITTI)


def _has_labels(folder: Path, names: list[str]) -> bool:
    found = {path.stem for path in (folder / 'labels').glob('*.label')}
    missing = [name for name in names if name not in found]
    if found and missing:
        raise InputError(f'{folder / "labels"} lacks {len(missing)} of {len(names)} labels, such as '
                         f'{missing[0]}.label; unpack them again')
    return bool(found)
