"""A nuScenes root: the key frames of all its scenes, six cameras each, lidarseg labels if they are there."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.frame import Camera, CameraView, Frame
from sam2amml_core.geometry.nuscenes import NuScenesTables, Record
from sam2amml_core.geometry.transforms import transform
from sam2amml_core.io.bin_folder import cloud_name
from sam2amml_core.io.clouds import read_nuscenes_bin
from sam2amml_core.io.facing import face_forward, forward_rotation
from sam2amml_core.io.images import read_image
from sam2amml_core.labels import NUSCENES

logger = logging.getLogger(__name__)

LIDAR = 'LIDAR_TOP'


class NuScenesRoot:
    """Key frames in the order of time. The cloud is turned so that x points forward (``facing``)."""

    kind = 'nuScenes tables'
    model = 'street32'
    schema = 'nuscenes'

    def __init__(self, path: Path, images: bool = True) -> None:
        self.tables = NuScenesTables.open(path)
        self.images = images
        self._names_checked = False
        self._frames: dict[str, dict[str, Record]] = {}
        for sample in self.tables.samples:
            channels = self.tables.key_frames[sample['token']]
            if LIDAR in channels:
                self._frames[cloud_name(Path(channels[LIDAR]['filename']))] = channels
        if not self._frames:
            raise InputError(f'{path}: no sample has a key frame of {LIDAR}')
        missing = [name for name, channels in self._frames.items()
                   if not (self.tables.root / channels[LIDAR]['filename']).is_file()]
        if len(missing) == len(self._frames):
            raise InputError(f'{path}: none of the sweeps in the tables is there, such as '
                             f'{self._frames[missing[0]][LIDAR]["filename"]}; '
                             'unpack the sensor archives beside the tables')
        if missing:
            logger.warning('%d of %d sweeps in the tables are not on disk and are left out',
                           len(missing), len(self._frames))
        for name in missing:
            del self._frames[name]

    def __len__(self) -> int:
        return len(self._frames)

    def __iter__(self) -> Iterator[tuple[str, Frame]]:
        for name, channels in self._frames.items():
            lidar = channels[LIDAR]
            cloud = read_nuscenes_bin(self.tables.root / lidar['filename'], int(lidar['timestamp']) * 1000)
            turn = forward_rotation(self.tables.T_ego_sensor(lidar))
            views = tuple(self._view(lidar, record, turn) for channel, record in sorted(channels.items())
                          if self.tables.sensor(record)['modality'] == 'camera') if self.images else ()
            yield name, Frame(face_forward(cloud, turn), views)

    def truth(self, name: str) -> np.ndarray | None:
        record = self.tables.lidarseg.get(self._frames[name][LIDAR]['token'])
        if record is None:
            return None
        if not self._names_checked:
            NUSCENES.check_raw_names(self.tables.lidarseg_names, f'category table of {self.tables.root}')
            self._names_checked = True
        path = self.tables.root / record['filename']
        try:
            return np.fromfile(path, np.uint8).astype(np.uint32)
        except OSError as error:
            raise InputError(f'lidarseg labels {path} cannot be read: {error.strerror}') from error

    def _view(self, lidar: Record, record: Record, turn: np.ndarray) -> CameraView:
        camera = self.tables.camera(lidar, record)
        turned: Camera = replace(camera, T_camera_lidar=camera.T_camera_lidar @ transform(turn.T, np.zeros(3)))
        image = read_image(self.tables.root / record['filename'])
        return CameraView(turned, image, int(record['timestamp']) * 1000)
