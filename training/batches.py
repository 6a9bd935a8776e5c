"""Batches of augmented sweeps, prepared in a background process while the network trains."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from sam2amml_core.frame import PointCloud
from sam2amml_core.labels import schema as find_schema
from sam2amml_core.lidar.range_view import make_range_view
from training.augment import augment
from training.augment_material import exchange_materials
from training.augment_mix import paste_objects
from training.labelled_sweep import LabelledSweep
from training.recipe import Recipe
from training.sweep_cache import CachedSweeps


@dataclass
class Batch:
    """B sweeps joined: ``features`` float32 [N, F], ``pixel`` int64 [N] (sweep b offset by b cells), ``label`` [N]."""

    features: Tensor
    pixel: Tensor
    label: Tensor
    sweeps: int


def prepare(sweep: LabelledSweep, recipe: Recipe) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, pixel and labels (int64) of the points inside the sensor geometry: the same code as at run time."""
    view = make_range_view(PointCloud(sweep.xyz, sweep.intensity), recipe.sensor, recipe.normalisation)
    return view.features, view.pixel, sweep.label[view.valid].astype(np.int64)


def collate(samples: list[tuple[np.ndarray, np.ndarray, np.ndarray]], cells: int) -> Batch:
    """Join prepared sweeps into one batch."""
    features, pixels, labels = zip(*samples, strict=True)
    pixel = np.concatenate([p + b * cells for b, p in enumerate(pixels)])
    return Batch(torch.from_numpy(np.concatenate(features)), torch.from_numpy(pixel),
                 torch.from_numpy(np.concatenate(labels)), len(samples))


class TrainingBatches(Dataset[Batch]):
    """Batch ``step`` of a run depends on seed and step only: a resumed run sees what it would have seen."""

    def __init__(self, sweeps: CachedSweeps, recipe: Recipe, seed: int, steps: int, strength: float = 1.0) -> None:
        self.sweeps = sweeps
        self.recipe = recipe
        self.seed = seed
        self.steps = steps
        self.strength = strength
        names = find_schema(recipe.schema).names
        self.counts = sweeps.counts(len(names) - 1)
        """int64 [sweeps, C + 1], points of each class."""
        self._share = balanced_shares(self.counts[:, 1:])
        self._pasted = np.array([names.index(name) for name in recipe.pasted], np.uint8)

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> Batch:
        rng = np.random.default_rng((self.seed, step))
        samples = []
        for index in self._indices(step):
            partner = self._sweep(int(rng.integers(len(self.sweeps))), rng) if rng.random() < 0.7 else None
            sweep = augment(self._sweep(index, rng), partner, rng, self.recipe.headings_deg, self.strength)
            samples.append(prepare(sweep, self.recipe))
        return collate(samples, self.recipe.sensor.pixels)

    def _sweep(self, index: int, rng: np.random.Generator) -> LabelledSweep:
        sweep = self.sweeps[index]
        if rng.random() < self.strength:
            sweep = exchange_materials(sweep, self.recipe.exchanges, self.recipe.schema, rng)
        if rng.random() < 0.5:
            other = self.sweeps[int(rng.integers(len(self.sweeps)))]
            sweep = paste_objects(sweep, other, self._pasted, int(rng.integers(1, 4)), rng)
        return sweep

    def _indices(self, step: int) -> list[int]:
        rng = np.random.default_rng((self.seed, step, 7))
        return [int(i) for i in rng.choice(len(self.sweeps), self.recipe.batch, p=self._share)]


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


def stream(batches: TrainingBatches, first: int, workers: int) -> Iterator[Batch]:
    """Batches from step ``first`` on, in order."""
    loader = DataLoader(batches, batch_size=None, sampler=range(first, len(batches)), num_workers=workers,
                        prefetch_factor=4 if workers else None)
    return iter(loader)
