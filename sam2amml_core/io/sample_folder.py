"""One sweep with its cameras described by ``sample.json``: matrices ready to use, nuScenes or KITTI."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.frame import Camera, CameraView, Frame
from sam2amml_core.geometry.transforms import check_rigid, transform
from sam2amml_core.io.clouds import read_kitti_bin, read_nuscenes_bin
from sam2amml_core.io.facing import face_forward, forward_rotation
from sam2amml_core.io.images import read_image


class SampleFolder:
    """``sample.json`` with ``lidar`` {file, format, stamp, lidar2ego} and ``cameras`` {name: {file, width, height,
    K or P2, lidar2cam, stamp}}. The cloud is turned so that x points forward (``facing``)."""

    def __init__(self, path: Path, images: bool = True) -> None:
        self.path = Path(path)
        self.images = images
        file = self.path / 'sample.json'
        try:
            self.content: dict[str, Any] = json.loads(file.read_text())
        except (OSError, ValueError) as error:
            raise InputError(f'{file} cannot be read: {error}') from error
        for key in ('lidar', 'cameras'):
            if key not in self.content:
                raise InputError(f'{file} has no entry "{key}"')
        self.nuscenes = 'x 5' in self.content['lidar'].get('format', '')
        self.kind = 'nuScenes sample' if self.nuscenes else 'KITTI sample'
        self.model = 'street32' if self.nuscenes else 'street64'
        self.schema = 'nuscenes' if self.nuscenes else 'semantic_kitti'

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[tuple[str, Frame]]:
        lidar = self._entry(self.content['lidar'], 'lidar', 'file')
        stamp = round(lidar.get('stamp', 0) * 1e9)
        cloud = (read_nuscenes_bin if self.nuscenes else read_kitti_bin)(self.path / lidar['file'], stamp)
        to_ego = lidar.get('lidar2ego')
        turn = forward_rotation(np.eye(4) if to_ego is None else np.array(to_ego, np.float64))
        views = tuple(self._view(name, turn) for name in self.content['cameras']) if self.images else ()
        yield self.path.name, Frame(face_forward(cloud, turn), views)

    def truth(self, name: str) -> np.ndarray | None:
        return None

    def _view(self, name: str, turn: np.ndarray) -> CameraView:
        entry = self._entry(self.content['cameras'][name], f'camera {name}', 'file', 'width', 'height', 'lidar2cam')
        intrinsic = entry.get('K', entry.get('P2'))
        if intrinsic is None:
            raise InputError(f'camera {name} in {self.path / "sample.json"} has neither K nor P2')
        projection = np.zeros((3, 4))
        given = np.array(intrinsic, np.float64)[:3]
        projection[:, :given.shape[1]] = given
        pose = check_rigid(np.array(entry['lidar2cam']), f'lidar2cam of camera {name}')
        camera = Camera(name, entry['width'], entry['height'], projection, pose @ transform(turn.T, np.zeros(3)))
        return CameraView(camera, read_image(self.path / entry['file']), round(entry.get('stamp', 0) * 1e9))

    def _entry(self, entry: dict[str, Any], what: str, *keys: str) -> dict[str, Any]:
        for key in keys:
            if key not in entry:
                raise InputError(f'{what} in {self.path / "sample.json"} has no entry "{key}"')
        return entry
