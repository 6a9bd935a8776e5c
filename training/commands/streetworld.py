"""``sam2amml streetworld``: the synthetic benchmark, train, validation and test, in SemanticKITTI's layout."""

from __future__ import annotations

import json
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
from sam2amml_core.masks.mask_set import Provenance, image_hash, make_mask_set
from sam2amml_core.masks.store import write_masks
from training.commands.world import MARK
from training.commands.world_bag import world_version
from training.datasets.sequences import SPLITS_FILE
from training.masks.precompute import mask_path
from training.masks.segments import exclusive_segments
from training.sweep_writer import FIRST_SEED
from training.world.record import record, street_of
from training.world.sensors import kitti_rig
from training.world.settings import SPLITS
from training.world.sweep import SyntheticSweep
from training.world.writers.semantic_kitti import SemanticKittiSequence

WORLD_SPLITS = {'train': 'train', 'val': 'validation', 'test': 'test'}
"""Split of the benchmark -> of the world's generator, whose streets differ by seed and by settings."""

SPACING_S = 2.0
"""Between the sweeps of a street: near ones would hardly differ."""


@dataclass(frozen=True)
class StreetWorld:
    """How large the benchmark is: streets of each split, ``sweeps`` of each street, images of ``cameras`` (0, 1 or 2).

    The defaults are the benchmark that results are reported on. With ``true_masks`` the exact outlines of all that the
    images show are written to ``true_masks``, as ``sam2amml masks`` writes masks: what no mask generator can surpass.
    """

    train: int = 100
    val: int = 12
    test: int = 24
    sweeps: int = 4
    cameras: int = 1
    true_masks: bool = False

    def sequences(self) -> dict[str, list[str]]:
        """Names of the sequences of each split."""
        return {split: [f'{split}_{n:03d}' for n in range(getattr(self, split))] for split in WORLD_SPLITS}

    def made_of(self) -> dict[str, Any]:
        """All that the bytes of a sequence depend on, besides its name."""
        return {'sweeps': self.sweeps, 'cameras': self.cameras, 'spacing_s': SPACING_S, 'world': world_version(),
                **({'true_masks': True} if self.true_masks else {})}


def run(root: Path, size: StreetWorld, processes: int) -> Path:
    """Write what is missing of the benchmark into ``root`` and return it; it can be stopped and goes on.

    Raises InputError when ``root`` holds another one, or cannot be written.
    """
    if not 0 <= size.cameras <= 2 or min(size.train, size.val, size.test, size.sweeps) < 1:
        raise InputError(f'{asdict(size)}: each split needs a street, each street a sweep, and 0, 1 or 2 cameras')
    console, started = Console(stderr=True), time.monotonic()
    made_of = size.made_of()
    wanted = [(split, number) for split in WORLD_SPLITS for number in range(getattr(size, split))]
    missing = [(split, number) for split, number in wanted if not _finished(_folder(root, split, number), made_of)]
    make_folder(root / 'sequences')
    (root / SPLITS_FILE).write_text(yaml.safe_dump(size.sequences(), sort_keys=False), encoding='utf-8')
    columns = (TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task('streets', total=len(wanted), completed=len(wanted) - len(missing))
        for _ in _made([(root, split, number, size) for split, number in missing], processes):
            progress.advance(task)
    for split, names in size.sequences().items():
        points = sum(p.stat().st_size // 16 for name in names
                     for p in (root / 'sequences' / name / 'velodyne').glob('*.bin'))
        console.print(f'{split}: {len(names)} streets, {len(names) * size.sweeps} sweeps, {points:,} points',
                      highlight=False)
    minutes = (time.monotonic() - started) / 60
    console.print(f'{root}: {len(missing)} streets made in {minutes:.1f} min', highlight=False)
    return root


def make_street(root: Path, split: str, number: int, size: StreetWorld) -> None:
    """Drive through one street and write its sequence."""
    import cv2

    cv2.setNumThreads(1)
    folder = make_folder(_folder(root, split, number))
    (folder / MARK).unlink(missing_ok=True)
    world, seed = WORLD_SPLITS[split], FIRST_SEED[WORLD_SPLITS[split]] + number
    stereo = kitti_rig(2)
    rig = kitti_rig(size.cameras) if size.cameras else stereo.without_cameras()
    every = max(1, round(SPACING_S / rig.lidar.period))
    street = street_of(seed, SPLITS[world], rig, size.sweeps, every)
    writer = SemanticKittiSequence(folder, stereo.cameras, rig.lidar.period,
                                   [thing.instance for thing in street.objects if thing.moving])
    for number, sweep in enumerate(record(seed, SPLITS[world], rig, size.sweeps, every, street=street)):
        writer.write(sweep)
        if size.true_masks:
            _write_true_masks(root / 'true_masks', f'{folder.name}/{number:06d}', sweep)
    (folder / MARK).write_text(json.dumps({'made_of': size.made_of(), 'finished': True}), encoding='utf-8')


def _write_true_masks(folder: Path, name: str, sweep: SyntheticSweep) -> None:
    for view, truth in zip(sweep.frame.views, sweep.pixels, strict=True):
        ids, _ = exclusive_segments(truth)
        path = mask_path(folder, view.camera.name, name)
        make_folder(path.parent)
        write_masks(path, make_mask_set(ids, Provenance('truth', image=image_hash(view.image))))


def _made(jobs: list[tuple[Path, str, int, StreetWorld]], processes: int) -> Iterator[None]:
    if processes <= 1:
        yield from map(_make, jobs)
        return
    with multiprocessing.get_context('spawn').Pool(processes) as pool:
        yield from pool.imap_unordered(_make, jobs)


def _make(job: tuple[Path, str, int, StreetWorld]) -> None:
    make_street(*job)


def _folder(root: Path, split: str, number: int) -> Path:
    return root / 'sequences' / f'{split}_{number:03d}'


def _finished(folder: Path, made_of: dict[str, Any]) -> bool:
    try:
        content = json.loads((folder / MARK).read_text(encoding='utf-8'))
    except (OSError, ValueError):
        if any((folder / 'velodyne').glob('*.bin')) and not (folder / 'calib.txt').is_file():
            raise InputError(f'{folder} holds sweeps that this command did not write; choose another folder') from None
        return False
    if content.get('made_of') != made_of:
        raise InputError(f'{folder} holds a street of another size or of an older world; choose another folder or '
                         'delete it')
    return bool(content.get('finished'))
