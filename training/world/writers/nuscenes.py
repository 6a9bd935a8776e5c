"""nuScenes' layout: 20 Hz sweeps, 2 Hz key frames with labels and boxes, images, and the tables that tie them together.

As in the published data the sweeps are compensated for the vehicle's own motion, to the moment the turn is completed,
which is their stamp; the LiDAR's x points to the right, its y forwards. The ego frame is fixed to the LiDAR.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.frame import CameraView
from sam2amml_core.geometry.transforms import invert, transform
from sam2amml_core.io.bin_folder import cloud_name
from sam2amml_core.io.labels import make_folder
from training.world.classes import NUSCENES_RAW
from training.world.compensation import compensated, pose_at
from training.world.record import START_NS
from training.world.sensors import SensorRig
from training.world.street import Street
from training.world.sweep import SyntheticSweep
from training.world.writers.nuscenes_boxes import annotate, category
from training.world.writers.nuscenes_map import drivable_mask, global_shift
from training.world.writers.nuscenes_tables import (
    CAMERAS,
    LIDAR,
    SCENE_TABLES,
    Record,
    Tables,
    link,
    pose_fields,
    save_scene,
    token,
)

KEY_EVERY = 10
"""Sweeps from one key frame to the next."""

SCENE_SPACING_NS = 1_000_000_000_000
"""Between the starts of two scenes, so that their stamps never mix."""

LIDAR_FORWARD_M = 0.943713
"""From the ego frame's origin, on the ground below the rear axle, to the LiDAR."""

T_REP103_LIDAR = transform(np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]]), np.zeros(3))
"""From nuScenes' LiDAR axes (x right, y forwards) to x forwards, y left."""


@dataclass(frozen=True)
class SceneName:
    """What a scene is called and made from: ``number`` within ``split``, of ``seed``, in tables of ``version``."""

    version: str
    split: str
    number: int
    seed: int

    @property
    def name(self) -> str:
        """As nuScenes numbers its scenes."""
        return f'scene-{self.number:04d}'


@dataclass(eq=False)
class NuScenesScene:
    """Writes one scene into the data set at ``root``, sweep by sweep; ``finish`` it, then ``merge_scenes``.

    rig        its cameras' names are nuScenes' channels
    made_of    kept with the scene's tables, to know it again
    key_every  sweeps from one key frame to the next
    Raises InputError when files cannot be written or the cameras are none of nuScenes'.
    """

    root: Path
    scene: SceneName
    street: Street
    rig: SensorRig
    made_of: object = None
    key_every: int = KEY_EVERY
    tables: Tables = field(default_factory=lambda: {name: [] for name in SCENE_TABLES})

    def __post_init__(self) -> None:
        unknown = [camera.name for camera in self.rig.cameras if camera.name not in CAMERAS]
        if unknown:
            raise InputError(f'camera {unknown[0]} is none of nuScenes\' channels {", ".join(CAMERAS)}')
        self._key = f'{self.scene.split}/{self.scene.seed}'
        self._count = 0
        self._shift = global_shift(self.street.ground)
        self._T_ego_lidar = transform(np.eye(3), np.array([LIDAR_FORWARD_M, 0, self.rig.lidar.height]))
        self._started_ns = START_NS + self.scene.number * SCENE_SPACING_NS
        date = datetime.datetime.fromtimestamp(self._started_ns // 10**9, datetime.timezone.utc)
        self._log = f'n000-{date:%Y-%m-%d-%H-%M-%S}+0000'
        make_folder(self.root / 'maps')
        make_folder(self.root / 'lidarseg' / self.scene.version)
        for channel in (LIDAR, *(camera.name for camera in self.rig.cameras)):
            for kind in ('samples', 'sweeps'):
                folder = make_folder(self.root / kind / channel)
                for old in folder.glob(f'{self._log}__*'):
                    old.unlink()
        self._write_log(f'{date:%Y-%m-%d}')
        self._calibrate()

    def write(self, sweep: SyntheticSweep) -> str:
        """Append one sweep with its images; return what its cloud is called. The first is a key frame."""
        period = self.rig.lidar.period
        xyz, T_world_lidar = compensated(sweep, period, 1.0)
        cloud = sweep.frame.cloud
        end_ns = cloud.stamp_ns + round(period * 1e9)
        key = self._count % self.key_every == 0
        ring = np.zeros(len(cloud)) if cloud.ring is None else cloud.ring
        points = np.column_stack([xyz @ T_REP103_LIDAR[:3, :3], np.rint(cloud.intensity * 255), ring]).astype('<f4')
        record = self._data(LIDAR, self._us(end_ns), key, T_world_lidar, 'pcd.bin')
        _write(self.root / record['filename'], points)
        for view in sweep.frame.views:
            self._write_image(view, key, pose_at(sweep, 0.5))
        if key:
            self._write_key_frame(sweep, record)
        self._count += 1
        return cloud_name(Path(record['filename']))

    def finish(self) -> None:
        """Link the records and keep them with the data set."""
        if not self._count:
            raise InputError(f'{self.scene.name} has no sweep; record at least one')
        tables = self.tables
        samples = tables['sample']
        for channel in (LIDAR, *CAMERAS):
            link([r for r in tables['sample_data'] if f'/{channel}/' in r['filename']])
        link(samples)
        last = len(samples) - 1
        for record in tables['sample_data']:
            record['sample_token'] = samples[min(record.pop('sample_index'), last)]['token']
        things = {token('instance', self._key, o.instance): o for o in self.street.objects}
        by_instance: dict[str, list[Record]] = {}
        for record in tables['sample_annotation']:
            by_instance.setdefault(record['instance_token'], []).append(record)
        for name, records in by_instance.items():
            link(records)
            tables['instance'].append({
                'token': name, 'category_token': token('category', category(things[name])),
                'nbr_annotations': len(records), 'first_annotation_token': records[0]['token'],
                'last_annotation_token': records[-1]['token']})
        tables['scene'].append({
            'token': token('scene', self._key), 'log_token': token('log', self._key), 'nbr_samples': len(samples),
            'first_sample_token': samples[0]['token'], 'last_sample_token': samples[-1]['token'],
            'name': self.scene.name,
            'description': f'synthetic {self.street.theme} street, {self.scene.split} world {self.scene.number}'})
        save_scene(self.root, self.scene.version, self.scene.name, self.made_of, tables)

    def _us(self, stamp_ns: int) -> int:
        """Stamp in the data set, microseconds."""
        return (stamp_ns - START_NS + self._started_ns) // 1000

    def _write_log(self, date: str) -> None:
        picture = token('map', self._key)
        path = self.root / 'maps' / f'{picture}.png'
        _write_picture(path, drivable_mask(self.street.ground))
        log = token('log', self._key)
        self.tables['log'].append({'token': log, 'logfile': self._log, 'vehicle': 'n000', 'date_captured': date,
                                   'location': 'synthetic-street'})
        self.tables['map'].append({'token': picture, 'log_tokens': [log], 'category': 'semantic_prior',
                                   'filename': f'maps/{path.name}'})

    def _calibrate(self) -> None:
        poses: dict[str, tuple[np.ndarray, list[list[float]]]] = {
            LIDAR: (self._T_ego_lidar @ T_REP103_LIDAR, [])}
        for camera in self.rig.cameras:
            if np.abs(camera.projection[:, 3]).max() > 0:
                raise InputError(f'camera {camera.name} has a baseline in its projection; nuScenes keeps a 3x3 matrix')
            intrinsic = [[float(x) for x in row] for row in camera.projection[:, :3]]
            poses[camera.name] = (self._T_ego_lidar @ invert(camera.T_camera_lidar), intrinsic)
        for channel, (T_ego_sensor, intrinsic) in poses.items():
            self.tables['calibrated_sensor'].append({
                'token': token('calibration', self._key, channel), 'sensor_token': token('sensor', channel),
                **pose_fields(T_ego_sensor), 'camera_intrinsic': intrinsic})

    def _data(self, channel: str, stamp_us: int, key: bool, T_world_lidar: np.ndarray, suffix: str,
              size: tuple[int, int] = (0, 0)) -> Record:
        """Append records of sample_data and ego_pose, which share their token."""
        name = token('data', self._key, channel, self._count)
        T_world_ego = T_world_lidar @ invert(self._T_ego_lidar)
        T_world_ego[:3, 3] += self._shift
        self.tables['ego_pose'].append({'token': name, 'timestamp': stamp_us, **pose_fields(T_world_ego)})
        record = {
            'token': name, 'sample_index': round(self._count / self.key_every), 'ego_pose_token': name,
            'calibrated_sensor_token': token('calibration', self._key, channel), 'timestamp': stamp_us,
            'fileformat': suffix.split('.')[0], 'is_key_frame': key, 'height': size[0], 'width': size[1],
            'filename': f'{"samples" if key else "sweeps"}/{channel}/{self._log}__{channel}__{stamp_us}.{suffix}'}
        self.tables['sample_data'].append(record)
        return record

    def _write_image(self, view: CameraView, key: bool, T_world_lidar: np.ndarray) -> None:
        size = (int(view.image.shape[0]), int(view.image.shape[1]))
        record = self._data(view.camera.name, self._us(view.stamp_ns), key, T_world_lidar, 'jpg', size)
        _write_picture(self.root / record['filename'], view.image[..., ::-1])

    def _write_key_frame(self, sweep: SyntheticSweep, lidar: Record) -> None:
        sample = token('sample', self._key, self._count)
        self.tables['sample'].append({'token': sample, 'timestamp': lidar['timestamp'],
                                      'scene_token': token('scene', self._key)})
        t = (sweep.frame.cloud.stamp_ns - START_NS) / 1e9
        self.tables['sample_annotation'] += annotate(
            self.street.scene, self.street.objects, sweep, t, sample, self._key, self._shift)
        labels = f'lidarseg/{self.scene.version}/{lidar["token"]}_lidarseg.bin'
        _write(self.root / labels, NUSCENES_RAW[sweep.point_class])
        self.tables['lidarseg'].append({'token': lidar['token'], 'sample_data_token': lidar['token'],
                                        'filename': labels})


def _write(path: Path, values: np.ndarray) -> None:
    try:
        values.tofile(path)
    except OSError as error:
        raise InputError(f'cannot write {path}: {error.strerror}; choose another output folder') from error


def _write_picture(path: Path, image: np.ndarray) -> None:
    quality = (cv2.IMWRITE_JPEG_QUALITY, 93) if path.suffix == '.jpg' else ()
    if not cv2.imwrite(str(path), np.ascontiguousarray(image), quality):
        raise InputError(f'cannot write {path}; choose another output folder')
