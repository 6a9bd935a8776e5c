"""nuScenes' tables: tokens, the tables that never change, and putting the tables of all scenes together."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.geometry.transforms import matrix_to_quaternion
from sam2amml_core.io.labels import make_folder
from sam2amml_core.labels import NUSCENES

Record = dict[str, Any]
Tables = dict[str, list[Record]]

SCENE_TABLES = ('log', 'map', 'scene', 'sample', 'sample_data', 'ego_pose', 'calibrated_sensor', 'instance',
                'sample_annotation', 'lidarseg')
"""Tables every scene adds to."""

ATTRIBUTES = ('vehicle.moving', 'vehicle.stopped', 'vehicle.parked', 'cycle.with_rider', 'cycle.without_rider',
              'pedestrian.sitting_lying_down', 'pedestrian.standing', 'pedestrian.moving')
CAMERAS = ('CAM_FRONT', 'CAM_FRONT_RIGHT', 'CAM_BACK_RIGHT', 'CAM_BACK', 'CAM_BACK_LEFT', 'CAM_FRONT_LEFT')
LIDAR = 'LIDAR_TOP'
VISIBILITY = ('0-40', '40-60', '60-80', '80-100')
"""Percent of an object that can be seen; tokens are '1' to '4'."""

_SCENES = '.scenes'


def token(*parts: object) -> str:
    """32 hexadecimal digits, always the same for the same parts."""
    return hashlib.blake2b('/'.join(map(str, parts)).encode(), digest_size=16).hexdigest()


def pose_fields(T: np.ndarray) -> Record:
    """``translation`` and ``rotation`` (quaternion w, x, y, z) of a pose [4, 4]."""
    x, y, z, w = matrix_to_quaternion(T)
    return {'translation': [float(v) for v in T[:3, 3]], 'rotation': [float(v) for v in (w, x, y, z)]}


def link(records: list[Record]) -> None:
    """Fill in ``prev`` and ``next`` of records in the order of time; empty at the ends."""
    tokens = ['', *(record['token'] for record in records), '']
    for record, before, after in zip(records, tokens, tokens[2:], strict=False):
        record |= {'prev': before, 'next': after}


def constant_tables() -> Tables:
    """Categories (numbered as lidarseg's raw ids), attributes, levels of visibility, sensors."""
    return {
        'category': [{'token': token('category', name), 'name': name, 'description': '', 'index': index}
                     for index, name in NUSCENES.raw_names.items()],
        'attribute': [{'token': token('attribute', name), 'name': name, 'description': ''} for name in ATTRIBUTES],
        'visibility': [{'token': str(i + 1), 'level': f'v{level}',
                        'description': f'visibility of whole object is between {level.replace("-", " and ")}%'}
                       for i, level in enumerate(VISIBILITY)],
        'sensor': [{'token': token('sensor', name), 'channel': name, 'modality': kind}
                   for name, kind in ((LIDAR, 'lidar'), *((name, 'camera') for name in CAMERAS))],
    }


def scene_file(root: Path, version: str, scene: str) -> Path:
    """Where the tables of one finished scene are kept until all are put together."""
    return root / version / _SCENES / f'{scene}.json'


def save_scene(root: Path, version: str, scene: str, made_of: object, tables: Tables) -> None:
    """Keep the tables of one finished scene, whole or not at all."""
    path = scene_file(root, version, scene)
    make_folder(path.parent)
    scratch = path.with_suffix('.part')
    scratch.write_text(json.dumps({'made_of': made_of, 'tables': tables}))
    scratch.replace(path)


def scene_made_of(root: Path, version: str, scene: str) -> object:
    """What ``save_scene`` was told the scene is made of; None when it was never finished."""
    try:
        return json.loads(scene_file(root, version, scene).read_text())['made_of']
    except (OSError, ValueError, KeyError):
        return None


def merge_scenes(root: Path, version: str) -> int:
    """Write the tables of all finished scenes into ``root/version``; returns their number.

    Raises InputError when there is none or a table cannot be written.
    """
    files = sorted((root / version / _SCENES).glob('*.json'))
    if not files:
        raise InputError(f'{root / version} holds no finished scene')
    tables = constant_tables() | {name: [] for name in SCENE_TABLES}
    for file in files:
        for name, records in json.loads(file.read_text())['tables'].items():
            tables[name].extend(records)
    for name, records in tables.items():
        path = root / version / f'{name}.json'
        try:
            path.write_text(json.dumps(records, indent=0))
        except OSError as error:
            raise InputError(f'cannot write {path}: {error.strerror}; choose another output folder') from error
    return len(files)
