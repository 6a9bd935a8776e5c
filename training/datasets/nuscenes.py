"""nuScenes-lidarseg read from its tables: key frames with labels, six cameras with ego poses at both stamps.

Classes are mapped by the names in ``category.json``; one page of the devkit's instructions lists other numbers than the
data use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.frame import CameraView, PointCloud
from sam2amml_core.geometry.nuscenes import NuScenesTables, Record
from sam2amml_core.geometry.transforms import transform
from sam2amml_core.io.bin_folder import cloud_name
from sam2amml_core.io.clouds import read_nuscenes_bin
from sam2amml_core.io.facing import face_forward, forward_rotation
from sam2amml_core.io.images import read_image
from sam2amml_core.io.nuscenes import LIDAR
from sam2amml_core.labels import NUSCENES
from training.datasets.scans import Scan, Truth, size_of, to_train
from training.datasets.splits import named_splits

_VALIDATION = ((3,), (12, 18), (35, 36), (38, 39), (92, 110), (221,), (268, 278), (329, 332), (344, 346), (519, 524),
               (552, 565), (625, 627), (629, 630), (632, 638), (770, 771), (775,), (777, 778), (780, 784), (794, 800),
               (802,), (904, 917), (919, 931), (962, 963), (966, 969), (971, 972), (1059, 1073))
VALIDATION_SCENES = frozenset(f'scene-{n:04d}' for run in _VALIDATION for n in range(run[0], run[-1] + 1))
"""The 150 validation scenes; the other 700 scenes of v1.0-trainval are for training."""

MINI_VALIDATION = frozenset(('scene-0103', 'scene-0916'))
"""The two validation scenes of v1.0-mini, whose other eight are for training."""

SPLITS = ('train', 'val', 'trainval', 'test', 'all')


class NuScenesLidarseg:
    """Key frames of a split, scene by scene in the order of time; clouds are turned so that x points forward.

    ``split`` is one of ``SPLITS`` or scene names joined by commas; a ``splits.yaml`` in the root names splits of its
    own. In tables of another version than v1.0-trainval and v1.0-mini all scenes are in every split. Raises InputError
    when tables or scenes are missing, or when the category table numbers classes otherwise.
    """

    schema = NUSCENES

    def __init__(self, root: Path, split: str = 'train') -> None:
        self.tables = NuScenesTables.open(root)
        NUSCENES.check_raw_names(self.tables.lidarseg_names, f'category table of {self.tables.root}')
        names = {record['token']: record['name'] for record in self.tables.table('scene')}
        own = named_splits(root)
        chosen = self._choose(','.join(own[split]) if split in own else split, sorted(names.values()))
        found = []
        for sample in self.tables.samples:
            lidar = self.tables.key_frames[sample['token']].get(LIDAR)
            scene = names.get(sample['scene_token'], '')
            if lidar is not None and scene in chosen:
                found.append((scene, lidar))
        if not found:
            raise InputError(f'{self.tables.root / self.tables.version} has no key frame of {LIDAR} in split {split!r}')
        found.sort(key=lambda entry: entry[0])  # stable: in each scene the order of time stays
        self.scans: Sequence[Scan] = tuple(
            Scan(lidar['token'], scene, cloud_name(Path(lidar['filename']))) for scene, lidar in found)
        self._lidar: list[Record] = [lidar for _, lidar in found]
        self._labelled = bool(self.tables.lidarseg)

    def _choose(self, split: str, names: list[str]) -> set[str]:
        version = self.tables.version
        held = {'v1.0-trainval': VALIDATION_SCENES, 'v1.0-mini': MINI_VALIDATION}.get(version)
        if split in SPLITS:
            if held is None or split in ('all', 'trainval'):
                return set(names)
            if split == 'test':
                raise InputError(f'tables {version} hold no test split; give those of v1.0-test')
            return {name for name in names if (name in held) == (split == 'val')}
        wanted = {name.strip() for name in split.split(',')}
        missing = sorted(wanted - set(names))
        if missing:
            raise InputError(f'tables {version} have no scene {", ".join(missing[:5])}; choose one of '
                             f'{", ".join(SPLITS)}, or scenes such as {names[0] if names else "scene-0001"}')
        return wanted

    def __len__(self) -> int:
        return len(self.scans)

    def cloud(self, index: int) -> PointCloud:
        lidar = self._lidar[index]
        cloud = read_nuscenes_bin(self.tables.root / lidar['filename'], int(lidar['timestamp']) * 1000)
        return face_forward(cloud, self._turn(lidar))

    def points(self, index: int) -> int:
        return size_of(self.tables.root / self._lidar[index]['filename']) // 20

    def truth(self, index: int) -> Truth | None:
        if not self._labelled:
            return None
        lidar = self._lidar[index]
        record = self.tables.lidarseg.get(lidar['token'])
        if record is None:
            raise InputError(f'table lidarseg of {self.tables.version} has no entry for key frame {lidar["token"]}; '
                             'unpack the lidarseg archive of the same version')
        path = self.tables.root / record['filename']
        try:
            raw = np.fromfile(path, np.uint8)
        except OSError as error:
            raise InputError(f'lidarseg labels {path} cannot be read: {error.strerror}') from error
        if len(raw) != self.points(index):
            raise InputError(f'lidarseg labels {path} are for {len(raw)} points, the cloud {lidar["filename"]} has '
                             f'{self.points(index)}; they belong to different sweeps')
        return Truth(to_train(NUSCENES, raw, path), np.zeros(len(raw), np.uint32))

    def views(self, index: int, images: bool = True) -> tuple[CameraView, ...]:
        lidar = self._lidar[index]
        turn = transform(self._turn(lidar).T, np.zeros(3))
        found = []
        for _, record in sorted(self.tables.key_frames[lidar['sample_token']].items()):
            if self.tables.sensor(record)['modality'] != 'camera':
                continue
            camera = self.tables.camera(lidar, record)
            image = read_image(self.tables.root / record['filename']) if images else np.zeros((0, 0, 3), np.uint8)
            turned = replace(camera, T_camera_lidar=camera.T_camera_lidar @ turn)
            found.append(CameraView(turned, image, int(record['timestamp']) * 1000))
        return tuple(found)

    def _turn(self, lidar: Record) -> np.ndarray:
        return forward_rotation(self.tables.T_ego_sensor(lidar))
