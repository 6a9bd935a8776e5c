"""Masks for a whole recording, made by one process or many, here or on a Ray cluster; goes on where it was stopped.

Every worker reads the recording and makes the masks of its share of the sweeps. A file that is there, undamaged and of
the same provenance (image, cloud, generator, weights, settings) is kept, so a run that was killed ends with the same
files as one that was not.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.frame import Frame
from sam2amml_core.io.labels import make_folder
from sam2amml_core.io.source import InputSource
from sam2amml_core.labels import schema
from sam2amml_core.masks.generator import MaskGenerator
from sam2amml_core.masks.makers import AUTOMATIC, MakerSpec
from sam2amml_core.masks.store import SUFFIX, holds, write_masks
from training.masks.dataset_source import open_source


@dataclass(frozen=True)
class MaskJob:
    """One share of the work: sweeps ``shard``, ``shard + shards``, ... of ``source``, into ``folder``.

    part  the split of the data set whose root ``source`` is; empty: it is a recording
    """

    source: str
    folder: str
    maker: MakerSpec
    shard: int = 0
    shards: int = 1
    threads: int = 1
    part: str = ''

    def check(self) -> None:
        """Raises InputError naming what cannot be."""
        self.maker.check()
        if not 0 <= self.shard < self.shards:
            raise InputError(f'shard {self.shard} of {self.shards} does not exist; count from 0')

    def split(self, workers: int) -> list[MaskJob]:
        """The same work in ``workers`` shares."""
        return [replace(self, shard=self.shard + self.shards * i, shards=self.shards * workers)
                for i in range(workers)]


def mask_path(folder: Path, camera: str, name: str) -> Path:
    """Where the masks of one image lie: CAMERA/NAME; in a data set, where names are SCENE/SWEEP, SCENE/CAMERA/SWEEP."""
    scene, _, sweep = name.rpartition('/')
    return folder / scene / camera / f'{sweep}{SUFFIX}'


def work(job: MaskJob) -> tuple[int, int]:
    """Do a share; return how many files were made and how many kept. Raises InputError for unusable input."""
    made = kept = 0
    for fresh in _files(job):
        made, kept = made + fresh, kept + (not fresh)
    return made, kept


def _files(job: MaskJob) -> Iterator[bool]:
    """True for each file that was made, False for each that was there."""
    job.check()
    _limit_threads(job.threads)
    source, folder = open_source(Path(job.source), job.part), Path(job.folder)
    maker = None
    classes = _Classes(source, job)
    for number, (name, frame) in enumerate(source):
        if number % job.shards != job.shard or not frame.views:
            continue
        if maker is None:
            maker = _make(job.maker, classes.schema)
        told = classes.of(name, frame)
        for view in frame.views:
            path = mask_path(folder, view.camera.name, name)
            if holds(path, maker.provenance(view, frame.cloud, told)):
                yield False
                continue
            make_folder(path.parent)
            write_masks(path, maker.generate(view, frame.cloud, told))
            yield True


def _make(spec: MakerSpec, schema_name: str) -> MaskGenerator:
    if spec.generator != AUTOMATIC:
        return spec.make(schema_name)
    from sam2amml_core.masks.sam2_model import load
    from training.masks.automatic import AutomaticMasks

    return AutomaticMasks(load(spec.model, spec.checkpoint, spec.device))


class _Classes:
    """What a maker is told of the points: train ids uint8 [N] in the source's schema, or None."""

    def __init__(self, source: InputSource, job: MaskJob) -> None:
        self._source, self._job = source, job
        self._segmenter, self.schema = None, source.schema
        if job.maker.classes == 'predicted':
            from sam2amml_core.segmenter import Segmenter

            self._segmenter = Segmenter.open(source.model, threads=job.threads)
            self.schema = self._segmenter.bundle.schema.name

    def of(self, name: str, frame: Frame) -> np.ndarray | None:
        if self._segmenter is not None:
            return self._segmenter.segment(frame).class_id
        if self._job.maker.classes == 'none':
            return None
        raw = self._source.truth(name)
        if raw is None:
            raise InputError(f'{self._source.kind} {self._job.source} has no labels for sweep {name}; '
                             'choose the classes none or predicted')
        return schema(self._source.schema).raw_to_train[raw]


def count_views(job: MaskJob) -> int:
    """Sweeps of a share; how many images each has is not known before it is read."""
    return len(range(job.shard, len(open_source(Path(job.source), job.part, images=False)), job.shards))


def run_jobs(jobs: list[MaskJob], ray_address: str | None = None) -> Iterator[tuple[int, int]]:
    """Do all shares at once, yielding the result of each as it ends.

    ray_address  of a cluster, or 'local' for a Ray of one's own on this machine; None: processes without Ray. Folders
                 must be the same on all machines.
    """
    if ray_address is not None:
        yield from _on_ray(jobs, ray_address)
    elif len(jobs) == 1:
        yield work(jobs[0])
    else:
        with multiprocessing.get_context('spawn').Pool(len(jobs)) as pool:
            yield from pool.imap_unordered(work, jobs)


def _on_ray(jobs: list[MaskJob], address: str) -> Iterator[tuple[int, int]]:
    try:
        import ray
    except ImportError as error:
        raise InputError(f'Ray is not installed ({error}); install the extra [scale]') from error
    begun = not ray.is_initialized()
    if begun:
        ray.init(address=address, num_cpus=len(jobs) if address == 'local' else None, include_dashboard=False,
                 log_to_driver=False, configure_logging=False)
    try:
        waiting = [ray.remote(work).options(num_cpus=1, max_retries=2).remote(job) for job in jobs]
        while waiting:
            done, waiting = ray.wait(waiting)
            yield from ray.get(done)
    finally:
        if begun:
            ray.shutdown()


def _limit_threads(threads: int) -> None:
    """Of OpenCV, and of torch if it is used."""
    import os

    import cv2

    os.environ.setdefault('OMP_NUM_THREADS', str(threads))
    cv2.setNumThreads(threads)
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(threads)
