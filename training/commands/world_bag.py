"""``sam2amml world-bag``: a drive through a synthetic street as a ROS 2 bag, with the truth beside it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sam2amml_core.errors import InputError
from sam2amml_core.io.bag_writer import BagWriter
from sam2amml_core.io.labels import make_folder, write_label
from training.sweep_writer import FIRST_SEED
from training.world.classes import SEMANTIC_KITTI_RAW
from training.world.parallel import record_parallel
from training.world.sensors import SensorRig, kitti_rig, nuscenes_rig
from training.world.settings import SPLITS

SEQUENCE_FILE = 'sequence.json'


@dataclass(frozen=True)
class Drive:
    """What is recorded; the same drive gives the same bytes.

    rig      kitti or nuscenes
    number   of the world within its split
    cameras  how many of the rig's
    images   raw, compressed, both or none
    """

    rig: str = 'kitti'
    split: str = 'test'
    number: int = 0
    sweeps: int = 100
    cameras: int = 2
    images: str = 'raw'

    def sensors(self) -> SensorRig:
        """Raises InputError when there is no such rig."""
        makers: dict[str, Callable[..., SensorRig]] = {'kitti': kitti_rig, 'nuscenes': nuscenes_rig}
        if self.rig not in makers:
            raise InputError(f'no rig {self.rig!r}; choose one of {", ".join(makers)}')
        return makers[self.rig](self.cameras) if self.cameras else makers[self.rig]().without_cameras()


def run(folder: Path, drive: Drive, processes: int = 2, force: bool = False) -> Path:
    """Write ``folder/bag``, ``folder/labels/NNNNNN.label`` (SemanticKITTI raw ids) and ``sequence.json``; return it.

    A folder that already holds this very drive is kept, unless ``force``. Raises InputError on unknown settings.
    """
    if drive.split not in SPLITS:
        raise InputError(f'no split {drive.split!r}; choose one of {", ".join(SPLITS)}')
    rig = drive.sensors()
    console = Console(stderr=True)
    made_of = {**drive.__dict__, 'world': world_version()}
    if not force and _made_of(folder) == made_of:
        console.print(f'{folder} holds this drive already')
        return folder
    make_folder(folder)
    (folder / SEQUENCE_FILE).unlink(missing_ok=True)
    labels = make_folder(folder / 'labels')
    for old in labels.glob('*.label'):
        old.unlink()
    points = []
    columns = (TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with BagWriter(folder / 'bag', drive.images) as bag, Progress(*columns, console=console) as progress:
        task = progress.add_task(f'street {drive.split} {drive.number}', total=drive.sweeps)
        seed = FIRST_SEED[drive.split] + drive.number
        for index, sweep in enumerate(record_parallel(seed, SPLITS[drive.split], rig, drive.sweeps, processes)):
            bag.write(sweep.frame, sweep.T_world_lidar, sweep.T_world_lidar_end)
            raw = SEMANTIC_KITTI_RAW[sweep.point_class] | sweep.point_instance.astype(np.uint32) << 16
            write_label(labels / f'{index:06d}.label', raw)
            points.append(len(sweep.frame.cloud))
            progress.advance(task)
        last = sweep.frame.cloud
        bag.write_odometry(sweep.T_world_lidar_end, last.stamp_ns + round(rig.lidar.period * 1e9), last.frame_id)
    content = {'made_of': made_of, 'schema': 'semantic_kitti', 'points': points,
               'cameras': [camera.name for camera in rig.cameras], 'hz': round(1 / rig.lidar.period, 3)}
    (folder / SEQUENCE_FILE).write_text(json.dumps(content, indent=1))
    return folder


def world_version() -> str:
    """A hash over the sources of the world: recordings of an older world are made again."""
    digest = hashlib.sha256()
    for path in sorted((Path(__file__).parent.parent / 'world').rglob('*.py')):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _made_of(folder: Path) -> object:
    try:
        content = json.loads((folder / SEQUENCE_FILE).read_text())
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict) or not (folder / 'bag' / 'metadata.yaml').is_file():
        return None
    labels = len(list((folder / 'labels').glob('*.label')))
    return content.get('made_of') if labels == len(content.get('points', ())) else None
