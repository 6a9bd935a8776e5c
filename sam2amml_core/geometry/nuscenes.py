"""The nuScenes tables that geometry needs, read straight from their JSON files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.frame import Camera
from sam2amml_core.geometry.transforms import invert, quaternion_to_matrix, transform

Record = dict[str, Any]
TABLES = ('sample', 'sample_data', 'calibrated_sensor', 'ego_pose', 'sensor')


@dataclass(frozen=True, eq=False)
class NuScenesTables:
    """A nuScenes root with one version of its tables; each is read once, when first needed."""

    root: Path
    version: str

    @classmethod
    def open(cls, path: Path) -> NuScenesTables:
        """``path`` is the root (holding one folder ``v1.0-...``) or that folder. Raises InputError naming what lacks.
        """
        path = Path(path)
        if (path / 'sample_data.json').is_file():
            return cls(path.parent, path.name)._checked()
        versions = sorted(entry.name for entry in path.glob('v1.0-*') if entry.is_dir())
        if not versions:
            raise InputError(f'{path} holds no folder v1.0-* with nuScenes tables')
        if len(versions) > 1:
            found = ', '.join(versions)
            raise InputError(f'{path} holds several versions ({found}); name one, as {path / versions[0]}')
        return cls(path, versions[0])._checked()

    def _checked(self) -> NuScenesTables:
        for name in TABLES:
            if not self._path(name).is_file():
                raise InputError(f'table {self._path(name)} is missing; unpack the metadata archive of nuScenes again')
        return self

    def _path(self, name: str) -> Path:
        return self.root / self.version / f'{name}.json'

    def table(self, name: str) -> list[Record]:
        """The records of a table. Raises InputError when it is missing or not JSON."""
        try:
            records = json.loads(self._path(name).read_text())
        except FileNotFoundError:
            raise InputError(f'table {self._path(name)} is missing') from None
        except (OSError, ValueError) as error:
            raise InputError(f'table {self._path(name)} cannot be read: {error}; copy it again') from error
        if not isinstance(records, list):
            raise InputError(f'table {self._path(name)} is not a list of records')
        return records

    @cached_property
    def sensors(self) -> dict[str, Record]:
        """Calibrated sensor token -> its record, with ``channel`` and ``modality`` of the sensor."""
        kinds = {record['token']: record for record in self.table('sensor')}
        fields = ('channel', 'modality')
        return {record['token']: {**record, **{field: kinds[record['sensor_token']][field] for field in fields}}
                for record in self.table('calibrated_sensor')}

    @cached_property
    def poses(self) -> dict[str, Record]:
        return {record['token']: record for record in self.table('ego_pose')}

    @cached_property
    def samples(self) -> list[Record]:
        """Samples in the order of time."""
        return sorted(self.table('sample'), key=lambda record: record['timestamp'])

    @cached_property
    def key_frames(self) -> dict[str, dict[str, Record]]:
        """Sample token -> channel -> its sample_data record."""
        found: dict[str, dict[str, Record]] = {record['token']: {} for record in self.samples}
        for record in self.table('sample_data'):
            if record['is_key_frame'] and record['sample_token'] in found:
                found[record['sample_token']][self.sensor(record)['channel']] = record
        return found

    @cached_property
    def lidarseg(self) -> dict[str, Record]:
        """LiDAR sample_data token -> lidarseg record; empty without that table."""
        if not self._path('lidarseg').is_file():
            return {}
        return {record['sample_data_token']: record for record in self.table('lidarseg')}

    @cached_property
    def lidarseg_names(self) -> dict[int, str]:
        """Raw lidarseg id -> category name, as this root numbers them; empty without lidarseg."""
        if not self._path('category').is_file():
            return {}
        return {int(record['index']): record['name'] for record in self.table('category') if 'index' in record}

    def sensor(self, record: Record) -> Record:
        """The calibrated sensor of a sample_data record. Raises InputError when the tables do not agree."""
        token = record['calibrated_sensor_token']
        if token not in self.sensors:
            raise InputError(f'calibrated_sensor {token} of {record["filename"]} is missing in '
                             f'{self._path("calibrated_sensor")}; the tables are of different versions')
        return self.sensors[token]

    def T_ego_sensor(self, record: Record) -> np.ndarray:
        """Pose of a sensor on the vehicle (calibrated_sensor)."""
        return _pose(self.sensor(record))

    def T_world_sensor(self, record: Record) -> np.ndarray:
        """Pose of a sensor in the world at the time of its own record: ego_pose times calibrated_sensor, float64."""
        token = record['ego_pose_token']
        if token not in self.poses:
            raise InputError(f'ego_pose {token} of {record["filename"]} is missing in {self._path("ego_pose")}; '
                             'the tables are of different versions')
        return _pose(self.poses[token]) @ self.T_ego_sensor(record)

    def camera(self, lidar: Record, image: Record) -> Camera:
        """The camera of one image for one sweep, with the vehicle's motion between their stamps in its extrinsics:
        LiDAR -> ego(t_lidar) -> world -> ego(t_camera) -> camera."""
        sensor = self.sensor(image)
        intrinsic = np.asarray(sensor['camera_intrinsic'], np.float64)
        if intrinsic.shape != (3, 3):
            raise InputError(f'camera_intrinsic of {sensor["channel"]} has shape {intrinsic.shape} in '
                             f'{self._path("calibrated_sensor")}; expected 3x3')
        extrinsics = invert(self.T_world_sensor(image)) @ self.T_world_sensor(lidar)
        return Camera(sensor['channel'], int(image['width']), int(image['height']),
                      np.hstack((intrinsic, np.zeros((3, 1)))), extrinsics)


def _pose(record: Record) -> np.ndarray:
    """Tables hold quaternions as w, x, y, z."""
    w, x, y, z = record['rotation']
    return transform(quaternion_to_matrix(np.array([x, y, z, w])), np.asarray(record['translation'], np.float64))
