"""``sam2amml masks``: masks for every image of a recording."""

from __future__ import annotations

import os
import threading
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sam2amml_core.errors import InputError
from sam2amml_core.io.labels import make_folder
from sam2amml_core.masks.store import SUFFIX
from training.masks.precompute import MaskJob, count_views, run_jobs


def run(job: MaskJob, workers: int, ray: str | None) -> tuple[int, int]:
    """Make the masks of ``job`` with ``workers`` processes; return how many files were made and how many kept.

    Raises InputError for unusable input or settings.
    """
    os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
    if workers < 1:
        raise InputError(f'{workers} workers cannot do anything; give 1 or more')
    job.check()
    folder = make_folder(Path(job.folder))
    console = Console(stderr=True)
    columns = (TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    made = kept = 0
    with Progress(*columns, console=console) as progress:
        task = progress.add_task('sweeps with masks', total=count_views(job))
        ended = threading.Event()
        watcher = threading.Thread(target=_watch, args=(folder, progress, task, ended), daemon=True)
        watcher.start()
        try:
            for fresh, old in run_jobs(job.split(workers), ray):
                made, kept = made + fresh, kept + old
        finally:
            ended.set()
            watcher.join()
    console.print(f'{made} mask files made, {kept} kept, in {folder}')
    return made, kept


def _watch(folder: Path, progress: Progress, task: object, ended: threading.Event) -> None:
    """Files that appear are the progress, wherever the workers run."""
    while True:
        over = ended.wait(0.5)
        cameras = Counter(path.parent.name for path in folder.rglob(f'*{SUFFIX}'))
        progress.update(task, completed=max(cameras.values(), default=0))  # type: ignore[arg-type]
        if over:
            return
