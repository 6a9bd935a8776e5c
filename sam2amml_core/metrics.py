"""Confusion matrix and intersection over union of point labels."""

from __future__ import annotations

import numpy as np

from sam2amml_core.errors import InputError


class ConfusionMatrix:
    """Counts of (truth, prediction) pairs over any number of sweeps.

    ``num_classes`` is the highest train id. Points whose truth is 0 (unlabeled) are ignored. A prediction that is no
    class of the schema (0, or 255 = unknown) is a miss for the true class and no false positive of any other.
    """

    def __init__(self, num_classes: int) -> None:
        if num_classes < 1:
            raise InputError(f'a confusion matrix needs at least one class, got {num_classes}')
        self.num_classes = num_classes
        self.counts = np.zeros((num_classes + 1, num_classes + 1), np.int64)
        """int64 [C + 1, C + 1]: rows truth, columns prediction; column 0 = no label given."""

    def add(self, prediction: np.ndarray, truth: np.ndarray) -> None:
        """Count one sweep: integer train ids [N] each. Raises ``InputError`` on unequal shapes or truth > C."""
        if prediction.shape != truth.shape:
            raise InputError(f'prediction has shape {prediction.shape}, truth {truth.shape}; give one each per point')
        size = self.num_classes + 1
        wanted = truth.astype(np.int64).ravel()
        given = prediction.astype(np.int64).ravel()
        if len(wanted) and (wanted.min() < 0 or wanted.max() > self.num_classes):
            raise InputError(f'truth holds ids {wanted.min()}..{wanted.max()}, classes are 0..{self.num_classes}; '
                             'map raw ids to train ids first')
        given = np.where((given < 0) | (given > self.num_classes), 0, given)
        pairs = np.bincount(wanted * size + given, minlength=size * size).reshape(size, size)
        pairs[0] = 0
        self.counts += pairs

    @property
    def present(self) -> np.ndarray:
        """bool [C + 1]: classes that occur in the truth."""
        return self.counts.sum(axis=1) > 0

    def iou(self) -> np.ndarray:
        """float64 [C + 1] by train id, TP / (TP + FP + FN), 0..1; NaN for id 0 and classes absent from the truth."""
        hit = np.diag(self.counts).astype(np.float64)
        union = self.counts.sum(axis=0) + self.counts.sum(axis=1) - hit
        result = np.full(self.num_classes + 1, np.nan)
        result[self.present] = hit[self.present] / union[self.present]
        return result

    def miou(self) -> float:
        """Mean IoU over the classes present in the truth, 0..1; NaN if there are none."""
        values = self.iou()[self.present]
        return float(values.mean()) if len(values) else float('nan')

    def accuracy(self) -> float:
        """Share of labelled points whose class is right, 0..1; NaN if there are none."""
        total = int(self.counts.sum())
        return float(np.trace(self.counts) / total) if total else float('nan')

    def per_class(self, names: tuple[str, ...]) -> dict[str, float]:
        """IoU in percent by class name, classes present in the truth only."""
        values = self.iou()
        return {names[i]: round(100 * float(values[i]), 2) for i in np.flatnonzero(self.present)}
