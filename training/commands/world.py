"""``sam2amml world``: drives through synthetic streets as a data set in a public layout."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sam2amml_core.errors import InputError
from sam2amml_core.io.labels import make_folder
from training.commands.world_bag import world_version
from training.sweep_writer import FIRST_SEED
from training.world.benchmark import MARK
from training.world.parallel import record_parallel
from training.world.record import street_of
from training.world.sensors import SensorRig, kitti_rig, nuscenes_rig
from training.world.settings import SPLITS
from training.world.sweep import SyntheticSweep
from training.world.writers.nuscenes import NuScenesScene, SceneName
from training.world.writers.nuscenes_tables import merge_scenes, scene_file, scene_made_of
from training.world.writers.semantic_kitti import SemanticKittiSequence

LAYOUTS = ('semantic_kitti', 'nuscenes')
CAMERAS = {'semantic_kitti': 2, 'nuscenes': 6}
"""Layout -> cameras its rig has."""

_IMAGES_EVERY = {'semantic_kitti': 1, 'nuscenes': 10}


@dataclass(frozen=True)
class WorldData:
    """What is written; the same values give the same bytes.

    first         number of the first street in its split; streets ``first .. first + sequences - 1``
    cameras       how many of the rig's; None: all
    images_every  an image of each camera for one of so many sweeps; None: KITTI all, nuScenes key frames only
    version       of the nuScenes tables, which begins with v1.0-
    """

    layout: str = 'semantic_kitti'
    split: str = 'train'
    first: int = 0
    sequences: int = 1
    sweeps: int = 100
    cameras: int | None = None
    images_every: int | None = None
    version: str = 'v1.0-synthetic'

    def check(self) -> None:
        """Raises InputError naming the value that cannot be."""
        if self.layout not in LAYOUTS:
            raise InputError(f'no layout {self.layout!r}; choose one of {", ".join(LAYOUTS)}')
        if self.split not in SPLITS:
            raise InputError(f'no split {self.split!r}; choose one of {", ".join(SPLITS)}')
        if self.cameras is not None and not 0 <= self.cameras <= CAMERAS[self.layout]:
            raise InputError(f'{self.cameras} cameras asked for; the rig of {self.layout} has {CAMERAS[self.layout]}')
        if self.layout == 'nuscenes' and self.every and 10 % self.every:
            raise InputError(f'images every {self.every} sweeps would miss key frames; choose 1, 2, 5 or 10')
        if not self.version.startswith('v1.0-'):
            raise InputError(f'version {self.version!r} is no name of nuScenes tables; it must begin with v1.0-')

    @property
    def every(self) -> int:
        """Sweeps per image."""
        return self.images_every or _IMAGES_EVERY[self.layout]

    @property
    def rig(self) -> SensorRig:
        """The vehicle's sensors."""
        maker: Callable[[int], SensorRig] = kitti_rig if self.layout == 'semantic_kitti' else nuscenes_rig
        return maker(CAMERAS[self.layout] if self.cameras is None else self.cameras)

    def made_of(self, number: int) -> dict[str, object]:
        """All that the bytes of one sequence depend on."""
        values = asdict(self)
        for irrelevant in ('first', 'sequences'):
            del values[irrelevant]
        return values | {'number': number, 'cameras': len(self.rig.cameras), 'images_every': self.every,
                         'world': world_version()}


def run(root: Path, data: WorldData, processes: int = 2, force: bool = False) -> Path:
    """Write the sequences into ``root`` and return it; those that are finished already are kept, so it can go on later.

    Raises InputError on unknown settings, and when ``root`` holds something else, unless ``force``.
    """
    data.check()
    make_folder(root)
    console = Console(stderr=True)
    columns = (TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        write_sequence = _kitti if data.layout == 'semantic_kitti' else _nuscenes
        task = progress.add_task(data.layout, total=data.sequences * data.sweeps)
        for number in range(data.first, data.first + data.sequences):
            if not write_sequence(root, data, number, processes, force, partial(progress.advance, task)):
                console.print(f'{data.split} {number} is there already')
                progress.advance(task, data.sweeps)
    if data.layout == 'nuscenes':
        scenes = merge_scenes(root, data.version)
        console.print(f'{root / data.version}: tables of {scenes} scenes')
    return root


def _kitti(root: Path, data: WorldData, number: int, processes: int, force: bool, advance: Callable[[], None]) -> bool:
    folder = root / 'sequences' / f'{number:02d}'
    made_of = data.made_of(number)
    there = _read_mark(folder)
    if there is None and any((folder / 'velodyne').glob('*.bin')):
        raise InputError(f'{folder} holds sweeps that this command did not write; choose another folder')
    if not force and there is not None and there.get('finished'):
        if there.get('made_of') == made_of:
            return False
        raise InputError(f'{folder} holds another recording; add --force to replace it')
    make_folder(folder)
    (folder / MARK).write_text(json.dumps({'made_of': made_of, 'finished': False}))
    street = street_of(FIRST_SEED[data.split] + number, SPLITS[data.split], data.rig, data.sweeps)
    moving = [thing.instance for thing in street.objects if thing.moving]
    writer = SemanticKittiSequence(folder, kitti_rig(2).cameras, data.rig.lidar.period, moving)
    _drive(data, number, processes, writer.write, advance)
    (folder / MARK).write_text(json.dumps({'made_of': made_of, 'finished': True}))
    return True


def _read_mark(folder: Path) -> dict[str, object] | None:
    try:
        content = json.loads((folder / MARK).read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _nuscenes(root: Path, data: WorldData, number: int, processes: int, force: bool, advance: Callable[[], None]
              ) -> bool:
    seed = FIRST_SEED[data.split] + number
    name = SceneName(data.version, data.split, number, seed)
    kept = scene_file(root, data.version, name.name)
    made_of = data.made_of(number)
    if (root / data.version / 'sample.json').is_file() and not kept.parent.is_dir():
        raise InputError(f'{root / data.version} holds tables that this command did not write; '
                         'choose another folder or --version')
    there = scene_made_of(root, data.version, name.name)
    if there == made_of and not force:
        return False
    if there is not None and not force:
        raise InputError(f'{root} holds another {name.name}; add --force to replace it')
    kept.unlink(missing_ok=True)
    street = street_of(seed, SPLITS[data.split], data.rig, data.sweeps)
    writer = NuScenesScene(root, name, street, data.rig, made_of)
    _drive(data, number, processes, writer.write, advance)
    writer.finish()
    return True


def _drive(data: WorldData, number: int, processes: int, write: Callable[[SyntheticSweep], str],
           advance: Callable[[], None]) -> None:
    seed = FIRST_SEED[data.split] + number
    for sweep in record_parallel(seed, SPLITS[data.split], data.rig, data.sweeps, processes, data.every):
        write(sweep)
        advance()
