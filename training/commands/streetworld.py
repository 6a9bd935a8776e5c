"""``sam2amml streetworld``: the synthetic benchmark, train, validation and test, in a public layout."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sam2amml_core.errors import InputError
from sam2amml_core.io.labels import make_folder
from training.commands.world import CAMERAS
from training.commands.world_bag import world_version
from training.datasets.open import open_split
from training.datasets.splits import SPLITS_FILE
from training.sweep_writer import FIRST_SEED
from training.world.benchmark import SPACING_S, VERSION, Layout, make_street, street_made_of, street_name
from training.world.writers.nuscenes_tables import merge_scenes

WORLD_SPLITS = {'train': 'train', 'val': 'validation', 'test': 'test'}
"""Split of the benchmark -> of the world's generator, whose streets differ by seed and by settings."""


@dataclass(frozen=True)
class StreetWorld:
    """How large the benchmark is: streets of each split, ``sweeps`` of each street, images of ``cameras``.

    The defaults are the benchmark that results are reported on: KITTI's LiDAR and one camera ahead. In nuScenes' layout
    it has that car's LiDAR and cameras all round (None: all six). With ``true_masks`` the exact outlines of all that
    the images show are written to ``true_masks``, as ``sam2amml masks`` writes masks: what no mask generator can
    surpass.
    """

    train: int = 100
    val: int = 12
    test: int = 24
    sweeps: int = 4
    cameras: int | None = None
    true_masks: bool = False
    layout: Layout = 'semantic_kitti'

    def check(self) -> None:
        """Raises InputError naming what cannot be."""
        if self.layout not in CAMERAS:
            raise InputError(f'no layout {self.layout!r}; choose one of {", ".join(CAMERAS)}')
        if not 0 <= self.images <= CAMERAS[self.layout]:
            raise InputError(f'{self.images} cameras asked for; the rig of {self.layout} has {CAMERAS[self.layout]}')
        if min(self.train, self.val, self.test, self.sweeps) < 1:
            raise InputError(f'{asdict(self)}: each split needs a street, and each street a sweep')

    @property
    def images(self) -> int:
        """Cameras that take images."""
        return (1 if self.layout == 'semantic_kitti' else 6) if self.cameras is None else self.cameras

    def sequences(self) -> dict[str, list[str]]:
        """Names of the sequences of each split."""
        return {split: [street_name(self.layout, split, n) for n in range(getattr(self, split))]
                for split in WORLD_SPLITS}

    def made_of(self) -> dict[str, Any]:
        """All that the bytes of a sequence depend on, besides its name."""
        return {'sweeps': self.sweeps, 'cameras': self.images, 'spacing_s': SPACING_S, 'world': world_version(),
                'true_masks': self.true_masks}


def run(root: Path, size: StreetWorld, processes: int) -> Path:
    """Write what is missing of the benchmark into ``root`` and return it; it can be stopped and goes on.

    Raises InputError when ``root`` holds another one, or cannot be written.
    """
    size.check()
    console, started = Console(stderr=True), time.monotonic()
    wanted = [(split, number) for split in WORLD_SPLITS for number in range(getattr(size, split))]
    missing = [(split, number) for split, number in wanted if not _finished(root, size, split, number)]
    (make_folder(root) / SPLITS_FILE).write_text(yaml.safe_dump(size.sequences(), sort_keys=False), encoding='utf-8')
    columns = (TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task('streets', total=len(wanted), completed=len(wanted) - len(missing))
        for _ in _made([(root, split, number, size) for split, number in missing], processes):
            progress.advance(task)
    if size.layout == 'nuscenes':
        merge_scenes(root, VERSION)
    for split, names in size.sequences().items():
        scans = open_split(root, split, size.layout)
        points = sum(map(scans.points, range(len(scans))))
        console.print(f'{split}: {len(names)} streets, {len(scans)} sweeps, {points:,} points', highlight=False)
    minutes = (time.monotonic() - started) / 60
    console.print(f'{root}: {len(missing)} streets made in {minutes:.1f} min', highlight=False)
    return root


def _made(jobs: list[tuple[Path, str, int, StreetWorld]], processes: int) -> Iterator[None]:
    if processes <= 1:
        yield from map(_make, jobs)
        return
    with multiprocessing.get_context('spawn').Pool(processes) as pool:
        yield from pool.imap_unordered(_make, jobs)


def _make(job: tuple[Path, str, int, StreetWorld]) -> None:
    root, split, number, size = job
    world = WORLD_SPLITS[split]
    make_street(size.layout, root, split, number, FIRST_SEED[world] + number, world, size.sweeps, size.images,
                size.true_masks, size.made_of())


def _finished(root: Path, size: StreetWorld, split: str, number: int) -> bool:
    found = street_made_of(size.layout, root, split, number)
    if found is not None and found != size.made_of():
        raise InputError(f'{root} holds a street of another size or of an older world '
                         f'({street_name(size.layout, split, number)}); choose another folder or delete it')
    folder = root / 'sequences' / street_name(size.layout, split, number)
    if found is None and any((folder / 'velodyne').glob('*.bin')) and not (folder / 'calib.txt').is_file():
        raise InputError(f'{folder} holds sweeps that this command did not write; choose another folder')
    return found is not None
