"""Samples and batches of a run: which sweep, changed how, follows from the seed and the sample's number alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from sam2amml_core.errors import InputError
from sam2amml_core.frame import PointCloud
from sam2amml_core.lidar.backbones.backbone import PointBatch
from sam2amml_core.lidar.input_spec import InputSpec
from sam2amml_core.lidar.preparation import Prepared, prepare
from training.augment import augment
from training.augment_house import House, augment_house
from training.augment_material import STREET_EXCHANGES, exchange_materials
from training.augment_mix import paste_objects
from training.datasets.scans import MaskIds, ScanSet, read_sweep
from training.labelled_sweep import LabelledSweep
from training.recipe import HouseSettings, Recipe, StreetSettings

TRIES = 100
"""Samples in a row that may be corrupt before even a run that skips them gives up."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One prepared sweep; V of its points can be labelled, ``cloud`` and the rest hold all N or V as said.

    label, mask_id  int64 [V]
    chosen          int64 [K], rows of the V points that enter the loss, in random order
    labelled        whether its labels teach; if not, it has none
    skipped         files that could not be read before this sample could
    """

    prepared: Prepared
    cloud: PointCloud
    label: np.ndarray
    mask_id: np.ndarray
    chosen: np.ndarray
    name: str
    skipped: tuple[str, ...] = ()
    labelled: bool = True


@dataclass(frozen=True, eq=False)
class Batch:
    """B sweeps, V points in all. ``label`` int64 [V]; ``mask_id`` int64 [V], dense from 1, 0 = none, never shared by
    two sweeps; ``chosen`` one int64 [K_b] per labelled sweep, rows of V."""

    points: PointBatch
    label: Tensor
    mask_id: Tensor
    chosen: tuple[Tensor, ...]
    names: tuple[str, ...]
    skipped: tuple[str, ...]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """The same batch on another device."""
        return replace(self, points=self.points.to(device), label=self.label.to(device),
                       mask_id=self.mask_id.to(device), chosen=tuple(c.to(device) for c in self.chosen))

    def pin_memory(self) -> Batch:
        """For ``DataLoader(pin_memory=True)``."""
        return replace(self, points=self.points.pin_memory(), label=self.label.pin_memory(),
                       mask_id=self.mask_id.pin_memory(), chosen=tuple(c.pin_memory() for c in self.chosen))


def prepare_sweep(sweep: LabelledSweep, recipe: Recipe, spec: InputSpec, name: str = '', points: int = 0,
                  rng: np.random.Generator | None = None) -> Sample:
    """A sweep as the network sees it: the same code as at run time. ``points`` of it, at random, enter the loss."""
    cloud = PointCloud(sweep.xyz, sweep.intensity)
    prepared = prepare(spec, cloud, recipe.sensor, recipe.normalisation)
    label = sweep.label[prepared.valid].astype(np.int64)
    chosen = np.flatnonzero(label > 0)
    if rng is not None:
        chosen = rng.permutation(chosen)[:points]
    return Sample(prepared, cloud, label, sweep.mask_id[prepared.valid], chosen, name)


def join(samples: list[Sample]) -> Batch:
    """One batch of prepared sweeps."""
    starts = np.cumsum([0, *(len(s.label) for s in samples)])
    return Batch(PointBatch.join([s.prepared for s in samples], [s.cloud for s in samples]),
                 torch.from_numpy(np.concatenate([s.label for s in samples])),
                 torch.from_numpy(dense_masks([s.mask_id for s in samples])),
                 tuple(torch.from_numpy(s.chosen + start) for s, start in zip(samples, starts, strict=False)
                       if s.labelled),
                 tuple(s.name for s in samples), tuple(path for s in samples for path in s.skipped))


def dense_masks(mask_ids: list[np.ndarray]) -> np.ndarray:
    """int64, joined and numbered densely from 1; 0 = none. Ids of two sweeps differ, even if both hold one scan."""
    joined = []
    before = 0
    for ids in mask_ids:
        found, dense = np.unique(ids, return_inverse=True)
        first = int(len(found) > 0 and found[0] == 0)
        dense = dense.reshape(-1) + 1 - first
        joined.append(np.where(ids > 0, dense + before, 0))
        before += len(found) - first
    return np.concatenate(joined).astype(np.int64)


class TrainingSamples(Dataset[Sample]):
    """Sample ``number`` of a run; the same whatever came before, however many processes share the run."""

    def __init__(self, data: ScanSet, recipe: Recipe, spec: InputSpec, counts: np.ndarray | None = None,
                 masks: MaskIds | None = None, unlabelled: ScanSet | None = None) -> None:
        """``counts`` int64 [scans, C + 1], points of each class, are needed to draw ``balanced``; samples of
        ``unlabelled`` are numbered downwards from -1."""
        self.data = data
        self._unlabelled = None if unlabelled is None else TrainingSamples(unlabelled, recipe, spec, masks=masks)
        self.recipe = recipe
        self.spec = spec
        self.masks = masks
        self.seed = recipe.loop.seed
        self._share = None if counts is None else balanced_shares(counts[:, 1:])
        settings = recipe.augmentation
        self._house = house_of(settings, data.schema.names) if isinstance(settings, HouseSettings) else None
        self._pasted = (_ids(settings.pasted, data.schema.names) if isinstance(settings, StreetSettings)
                        else np.zeros(0, np.uint8))
        self._order: tuple[int, np.ndarray] = (-1, np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, number: int) -> Sample:
        if number < 0:
            if self._unlabelled is None:
                raise IndexError(number)
            return replace(self._unlabelled[-1 - number], labelled=False)
        skipped: list[str] = []
        for attempt in range(TRIES):
            rng = np.random.default_rng((self.seed, number, attempt))
            try:
                index = self.index(number) if not attempt else int(rng.integers(len(self.data)))
                sweep = self._augmented(index, rng)
                points = self.recipe.losses.points
                sample = prepare_sweep(sweep, self.recipe, self.spec, self.data.scans[index].name, points, rng)
                return replace(sample, skipped=tuple(skipped))
            except InputError as error:
                if self.recipe.data.on_corrupt == 'stop':
                    raise
                skipped.append(str(error))
        raise InputError(f'{TRIES} samples in a row cannot be read; the last: {skipped[-1]}')

    def index(self, number: int) -> int:
        """Which scan the sample is of: shuffled once per epoch, or drawn so that rare classes come more often."""
        if self._share is not None:
            return int(np.random.default_rng((self.seed, number, 7, 7)).choice(len(self.data), p=self._share))
        epoch, place = divmod(number, len(self.data))
        if self._order[0] != epoch:
            self._order = epoch, np.random.default_rng((self.seed, epoch, 9, 9, 9)).permutation(len(self.data))
        return int(self._order[1][place])

    def _augmented(self, index: int, rng: np.random.Generator) -> LabelledSweep:
        settings = self.recipe.augmentation
        if self._house is not None:
            return augment_house(self._read(index), lambda: self._any(rng), self._house, rng)
        if isinstance(settings, StreetSettings):
            partner = self._street(None, settings, rng) if rng.random() < 0.7 else None
            sweep = self._street(index, settings, rng)
            return augment(sweep, partner, rng, settings.headings_deg, settings.strength)
        return self._read(index)

    def _street(self, index: int | None, settings: StreetSettings, rng: np.random.Generator) -> LabelledSweep:
        sweep = self._any(rng) if index is None else self._read(index)
        if settings.exchanges and rng.random() < settings.strength:
            sweep = exchange_materials(sweep, STREET_EXCHANGES, self.data.schema.name, rng)
        if len(self._pasted) and rng.random() < 0.5:
            sweep = paste_objects(sweep, self._any(rng), self._pasted, int(rng.integers(1, 4)), rng)
        return sweep

    def _any(self, rng: np.random.Generator) -> LabelledSweep:
        return self._read(int(rng.integers(len(self.data))))

    def _read(self, index: int) -> LabelledSweep:
        return self.read(index)[0]

    def read(self, index: int) -> tuple[LabelledSweep, str]:
        """A scan as it is, and its name."""
        return read_sweep(self.data, index, self.masks), self.data.scans[index].name


class StepSampler(Sampler[list[int]]):
    """Numbers of the samples of one process, batch by batch, from batch ``first`` up to ``end``.

    Batch b of process r of W holds samples (b W + r) B ..: together the processes have those that one process with
    W times the batch would have. After them come ``unlabelled`` numbers, -1, -2, .. likewise.
    """

    def __init__(self, batch: int, first: int, end: int, rank: int = 0, world: int = 1, unlabelled: int = 0) -> None:
        self.batch, self.first, self.end, self.rank, self.world = batch, first, end, rank, world
        self.unlabelled = unlabelled

    def __len__(self) -> int:
        return self.end - self.first

    def __iter__(self) -> Iterator[list[int]]:
        for number in range(self.first, self.end):
            place = number * self.world + self.rank
            labelled = range(place * self.batch, (place + 1) * self.batch)
            yield [*labelled, *(-1 - n for n in range(place * self.unlabelled, (place + 1) * self.unlabelled))]


def class_counts(data: ScanSet, cache: Path | None = None) -> np.ndarray:
    """Points of each train id in each scan, int64 [scans, C + 1]; kept in the file ``cache`` for the same scans.

    Scans whose labels cannot be read have none.
    """
    key = np.array([scan.name for scan in data.scans])
    if cache is not None and cache.is_file():
        with np.load(cache) as content:
            if np.array_equal(content['scans'], key) and content['counts'].shape[1] == len(data.schema):
                return content['counts']
    counts = np.zeros((len(data), len(data.schema)), np.int64)
    for index in range(len(data)):
        try:
            truth = data.truth(index)
        except InputError:
            continue
        if truth is not None:
            counts[index] = np.bincount(truth.label, minlength=len(data.schema))
    if cache is not None:
        cache.parent.mkdir(parents=True, exist_ok=True)
        scratch = cache.with_name(f'.{cache.stem}.{os.getpid()}.npz')
        np.savez(scratch, scans=key, counts=counts)
        scratch.replace(cache)
    return counts


def balanced_shares(counts: np.ndarray, enough: int = 50) -> np.ndarray:
    """How often to draw each sweep, [sweeps], sum 1, from its points per class [sweeps, C].

    Half of the draws are even; the other half takes a class at random, then a sweep that has ``enough`` points of it.
    """
    present = (counts >= enough).astype(np.float64)
    present = present[:, present.any(axis=0)]
    even = np.full(len(counts), 1 / len(counts))
    if not present.size:
        return even
    return 0.5 * even + 0.5 * (present / present.sum(axis=0)).mean(axis=1)


def house_of(settings: HouseSettings, names: tuple[str, ...]) -> House:
    """The settings with train ids for names. Raises InputError for a class the schema does not have."""
    return House(settings.rotation_deg, settings.flip, settings.scale, settings.jitter_m, settings.mixing,
                 settings.pasting, tuple(_ids(settings.pasted, names).tolist()),
                 tuple(_ids(settings.ground, names).tolist()), settings.objects)


def _ids(wanted: tuple[str, ...], names: tuple[str, ...]) -> np.ndarray:
    missing = [name for name in wanted if name not in names]
    if missing:
        raise InputError(f'augmentation names classes {", ".join(missing)}, which the data do not have; they have '
                         f'{", ".join(names[1:])}')
    return np.array([names.index(name) for name in wanted], np.uint8)
