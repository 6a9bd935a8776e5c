"""What every backbone takes and gives: the contract that training, export and anyone's own network meet.

    prediction = backbone(PointBatch.join(prepared, clouds))

A backbone says with ``input_spec`` how its sweeps are prepared, takes the prepared arrays of one or more sweeps joined
along their rows, and gives class scores and features of every point that can be labelled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from sam2amml_core.errors import InputError
from sam2amml_core.frame import PointCloud
from sam2amml_core.lidar.input_spec import InputSpec
from sam2amml_core.lidar.preparation import Prepared, Reference


@dataclass(frozen=True, eq=False)
class PointBatch:
    """B sweeps with N points in all that can be labelled, sweep after sweep.

    inputs  tensors by the names of ``preparation.input_names``, rows of all sweeps joined
    points  float32 [N, 4]: x, y, z in metres in the sensor frame, intensity 0..1
    sweep   int64 [N], 0 .. B - 1
    sweeps  B
    """

    inputs: dict[str, Tensor]
    points: Tensor
    sweep: Tensor
    sweeps: int

    @classmethod
    def join(cls, prepared: Sequence[Prepared], clouds: Sequence[PointCloud]) -> PointBatch:
        """Join sweeps that were prepared alike; row numbers move by the rows of the sweeps before."""
        if not prepared:
            raise InputError('a batch needs at least one sweep')
        inputs = {name: torch.from_numpy(_joined(prepared, name)) for name in prepared[0].inputs}
        points = [np.column_stack((cloud.xyz, cloud.intensity))[one.valid]
                  for one, cloud in zip(prepared, clouds, strict=True)]
        sweep = np.repeat(np.arange(len(points)), [len(p) for p in points])
        return cls(inputs, torch.from_numpy(np.concatenate(points).astype(np.float32, copy=False)),
                   torch.from_numpy(sweep), len(points))

    def to(self, device: torch.device | str) -> PointBatch:
        """The same batch on another device."""
        inputs = {name: tensor.to(device, non_blocking=True) for name, tensor in self.inputs.items()}
        return PointBatch(inputs, self.points.to(device), self.sweep.to(device), self.sweeps)

    def pin_memory(self) -> PointBatch:
        """For ``DataLoader(pin_memory=True)``."""
        inputs = {name: tensor.pin_memory() for name, tensor in self.inputs.items()}
        return PointBatch(inputs, self.points.pin_memory(), self.sweep.pin_memory(), self.sweeps)


@dataclass(frozen=True, eq=False)
class Prediction:
    """For each of N points: ``logits`` [N, C] of train ids 1 .. C, ``features`` [N, D] that they were made of."""

    logits: Tensor
    features: Tensor


class Backbone(nn.Module):
    """Base of the networks; a subclass sets the three attributes and ``predict``.

    input_spec        how sweeps are prepared
    classes           C, without the class 0 = unlabeled
    feature_channels  D
    image_size        rows and columns of the range image, of networks that have one
    catalogue_name    under which ``catalogue.create`` made it, if it did
    """

    input_spec: InputSpec
    classes: int
    feature_channels: int
    image_size: tuple[int, int] | None = None
    catalogue_name: str = ''

    def forward(self, batch: PointBatch) -> Prediction:
        """Scores and features of every point of a batch."""
        return Prediction(*self.predict(batch.inputs, batch.sweeps))

    def predict(self, inputs: dict[str, Tensor], sweeps: int = 1) -> tuple[Tensor, Tensor]:
        """Logits [N, C] and features [N, D] from the prepared arrays alone: what is exported."""
        raise NotImplementedError

    def fold(self) -> None:
        """Fold norms into the layers beside them where that can be done, in place; for inference only."""

    def prepare_export(self) -> None:
        """Change this network in place to what is exported: folded, standard operators only; for inference only."""
        self.fold()


def _joined(prepared: Sequence[Prepared], name: str) -> np.ndarray:
    parts = []
    before = 0
    for one in prepared:
        values = one.inputs[name]
        reference = one.references.get(name)
        parts.append(values if reference is None or not before else _moved(values, reference, before))
        before += reference.rows if reference is not None else 0
    return np.concatenate(parts)


def _moved(values: np.ndarray, reference: Reference, before: int) -> np.ndarray:
    moved = values + np.array(before, values.dtype)
    return np.where(values == 0, values, moved) if reference.none else moved
