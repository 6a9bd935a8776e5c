"""The benchmarks' own arithmetic on a confusion matrix; they differ in absent classes and in points without a label.

                                     SemanticKITTI                     nuScenes-lidarseg
    points whose truth is 0          ignored                           ignored
    points predicted 0               false negatives of their class    refused
    class in neither truth nor labels counts as IoU 0                  left out of the mean
    class predicted but not in truth counts as IoU 0                   counts as IoU 0
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.labels import NUSCENES, SEMANTIC_KITTI, ClassSchema
from sam2amml_core.metrics import ConfusionMatrix


@dataclass(frozen=True, eq=False)
class Scores:
    """Shares 0..1. ``iou`` float64 [C + 1] by train id, NaN for id 0 and classes left out of the mean.

    accuracy  of labelled points, as the benchmark defines it
    fwiou     IoU weighted by the classes' points; None where the benchmark does not report it
    """

    miou: float
    iou: np.ndarray
    accuracy: float
    fwiou: float | None = None

    def per_class(self, names: tuple[str, ...]) -> dict[str, float]:
        """IoU in percent by class name, without those left out."""
        return {names[i]: round(100 * float(self.iou[i]), 3) for i in np.flatnonzero(np.isfinite(self.iou))}


def score(matrix: ConfusionMatrix, schema: ClassSchema) -> Scores:
    """As the benchmark of the schema does; your own data set: as SemanticKITTI, but absent classes are left out."""
    if schema.name == SEMANTIC_KITTI.name:
        return semantic_kitti_scores(matrix)
    if schema.name == NUSCENES.name:
        return nuscenes_scores(matrix)
    return Scores(matrix.miou(), matrix.iou(), matrix.accuracy())


def semantic_kitti_scores(matrix: ConfusionMatrix) -> Scores:
    """As evaluate_semantics.py: IoU = TP / (TP + FP + FN + 1e-15), the mean is over all classes of the schema.

    The accuracy is TP / (TP + FP) over all classes: points predicted 0 are not in its denominator.
    """
    counts = matrix.counts.astype(np.float64)
    hit = np.diag(counts)
    false = counts.sum(axis=0) - hit
    missed = counts.sum(axis=1) - hit
    iou = hit / (hit + false + missed + 1e-15)
    iou[0] = np.nan
    accuracy = hit[1:].sum() / (hit[1:].sum() + false[1:].sum() + 1e-15)
    return Scores(float(iou[1:].mean()), iou, float(accuracy))


def nuscenes_scores(matrix: ConfusionMatrix) -> Scores:
    """As the lidarseg evaluation of the devkit: the mean is over classes with a point in truth or predictions.

    Raises InputError when points were predicted 0, which the benchmark refuses.
    """
    without = int(matrix.counts[1:, 0].sum())
    if without:
        raise InputError(f'{without} labelled points have no prediction; nuScenes wants a class '
                         f'1..{matrix.num_classes} for every point: give points out of reach that of their nearest '
                         'neighbour (fill_unknown)')
    counts = matrix.counts.astype(np.float64)
    hit = np.diag(counts)
    union = counts.sum(axis=0) + counts.sum(axis=1) - hit
    iou = np.full(len(hit), np.nan)
    seen = np.flatnonzero(union > 0)
    iou[seen] = hit[seen] / union[seen]
    total = counts.sum()
    if not total:
        return Scores(float('nan'), iou, float('nan'), float('nan'))
    fwiou = float(np.nansum(counts.sum(axis=1) * np.nan_to_num(iou)) / total)
    return Scores(float(np.nanmean(iou)), iou, float(hit.sum() / total), fwiou)
