"""Labels for whole sweeps from whatever was trained: a model bundle, the folder of a run, or a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from sam2amml_core.bundle import BUNDLE_FILE
from sam2amml_core.errors import InputError
from sam2amml_core.frame import Frame, PointCloud
from sam2amml_core.labels import ClassSchema
from sam2amml_core.lidar.backbones.backbone import PointBatch
from sam2amml_core.lidar.preparation import prepare
from sam2amml_core.segmenter import Segmenter
from training.checkpoint import open_checkpoint
from training.scoring.scoreboard import fill_unknown

FLIPS = ((1, 1), (-1, 1), (1, -1), (-1, -1))
"""Signs of x and y of the views that are voted over when test-time augmentation is asked for."""


class Predictor(Protocol):
    """``name`` for tables; called with a cloud it gives train ids uint8 [N], one of the schema's for every point."""

    @property
    def name(self) -> str: ...

    def __call__(self, cloud: PointCloud) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class BundlePredictor:
    """A bundle, run by the very segmenter that runs on the vehicle."""

    segmenter: Segmenter
    name: str

    def __call__(self, cloud: PointCloud) -> np.ndarray:
        said = self.segmenter.segment(Frame(cloud)).class_id
        return fill_unknown(cloud.xyz, said, len(self.segmenter.bundle.schema) - 1)


class RunPredictor:
    """The network of a training run, in torch. With ``votes`` the probabilities of its four mirrorings are summed."""

    def __init__(self, path: Path, classes: int, votes: bool = False, device: str = 'auto') -> None:
        checkpoint = open_checkpoint(path, classes)
        self.recipe, self.votes, self.name = checkpoint.recipe, votes, checkpoint.recipe.name
        self._device = device if device != 'auto' else 'cuda' if torch.cuda.is_available() else 'cpu'
        self._network = checkpoint.network.to(self._device)
        self._classes = classes

    def __call__(self, cloud: PointCloud) -> np.ndarray:
        total = np.zeros((len(cloud), self._classes), np.float32)
        for signs in FLIPS if self.votes else FLIPS[:1]:
            total += self._probability(replace(cloud, xyz=cloud.xyz * np.array([*signs, 1], np.float32)))
        said = np.where(total.any(axis=1), total.argmax(axis=1) + 1, 0).astype(np.uint8)
        return fill_unknown(cloud.xyz, said, self._classes)

    def _probability(self, cloud: PointCloud) -> np.ndarray:
        """float32 [N, C]; zero where a point is out of reach."""
        result = np.zeros((len(cloud), self._classes), np.float32)
        prepared = prepare(self._network.input_spec, cloud, self.recipe.sensor, self.recipe.normalisation)
        if prepared.valid.any():
            with torch.no_grad():
                logits = self._network(PointBatch.join([prepared], [cloud]).to(self._device)).logits
            result[prepared.valid] = logits.float().softmax(1).cpu().numpy()
        return result


def open_predictor(what: str, schema: ClassSchema, engine: str = 'auto', threads: int = 2, votes: bool = False
                   ) -> Predictor:
    """A predictor for data of ``schema``: ``what`` is a shipped model, a bundle folder, a run folder or a checkpoint.

    Raises InputError or BundleError when it cannot be opened or speaks of other classes.
    """
    path = Path(what)
    if path.suffix == '.ckpt' or (path / 'last.ckpt').is_file():
        return RunPredictor(path, len(schema) - 1, votes)
    if votes:
        raise InputError('--votes works on training runs only, not on exported bundles')
    if path.is_dir() and not (path / BUNDLE_FILE).is_file():
        raise InputError(f'{path} holds neither {BUNDLE_FILE} nor last.ckpt; give a bundle, a run or a checkpoint')
    segmenter = Segmenter.open(what, engine, threads)
    if segmenter.bundle.schema.names != schema.names:
        raise InputError(f'model {what} tells the classes of {segmenter.bundle.schema.name} apart, the data have those '
                         f'of {schema.name}')
    return BundlePredictor(segmenter, segmenter.bundle.name)
