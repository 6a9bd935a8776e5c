"""Scores of a split in all its parts: everything, by distance, inside and outside the cameras' view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sam2amml_core.frame import Camera
from sam2amml_core.geometry.projection import project
from sam2amml_core.labels import ClassSchema
from sam2amml_core.metrics import ConfusionMatrix
from training.scoring.official import score

EDGES_M = (0.0, 10.0, 20.0, 30.0, 50.0)
"""Lower ends of the ranges of distance from the sensor; the last is open."""

RANGES = ('0-10 m', '10-20 m', '20-30 m', '30-50 m', '50+ m')


class Scoreboard:
    """Confusion matrices of all points, of each range of distance, and of points in and out of the camera images."""

    def __init__(self, schema: ClassSchema) -> None:
        self.schema = schema
        self.sweeps = 0
        self.whole, self.inside, self.outside = (ConfusionMatrix(len(schema) - 1) for _ in range(3))
        self.by_range = [ConfusionMatrix(len(schema) - 1) for _ in RANGES]
        self._seen_by_camera = False

    def add(self, xyz: np.ndarray, prediction: np.ndarray, truth: np.ndarray, cameras: Sequence[Camera] = ()) -> None:
        """Count one sweep: points [N, 3] in metres, train ids [N] each; points of no finite place count as far.

        Inside the view is what falls into an image of one of ``cameras``, hidden or not.
        """
        self.whole.add(prediction, truth)
        with np.errstate(over='ignore', invalid='ignore'):
            distance = np.nan_to_num(np.linalg.norm(xyz, axis=1), nan=np.inf)
        part = np.searchsorted(EDGES_M, distance, side='right') - 1
        for number, matrix in enumerate(self.by_range):
            chosen = part == number
            matrix.add(prediction[chosen], truth[chosen])
        if cameras:
            self._seen_by_camera = True
            inside = project(xyz, cameras).inside.any(axis=0)
            self.inside.add(prediction[inside], truth[inside])
            self.outside.add(prediction[~inside], truth[~inside])
        self.sweeps += 1

    def summary(self) -> dict[str, Any]:
        """Percent, ready for JSON; mIoU of parts is over the classes present there, whatever the benchmark does."""
        whole = score(self.whole, self.schema)
        result: dict[str, Any] = {
            'schema': self.schema.name, 'sweeps': self.sweeps, 'points': int(self.whole.counts.sum()),
            'miou': percent(whole.miou), 'accuracy': percent(whole.accuracy),
            'per_class': whole.per_class(self.schema.names),
            'miou_by_distance': {name: percent(matrix.miou())
                                 for name, matrix in zip(RANGES, self.by_range, strict=True)},
            'miou_in_frustum': percent(self.inside.miou()) if self._seen_by_camera else None,
            'miou_out_of_frustum': percent(self.outside.miou()) if self._seen_by_camera else None,
            'miou_present': percent(self.whole.miou()),
        }
        if whole.fwiou is not None:
            result['fwiou'] = percent(whole.fwiou)
        return result


def percent(share: float) -> float | None:
    """0..1 in percent with three decimals; None for NaN."""
    return round(100 * float(share), 3) if np.isfinite(share) else None


def fill_unknown(xyz: np.ndarray, prediction: np.ndarray, classes: int, chunk: int = 256) -> np.ndarray:
    """Predictions uint8 [N] in which points without a class 1..classes have that of the nearest point that has one.

    Points that are not finite get the commonest class. Raises nothing; without any class all become 1.
    """
    known = (prediction >= 1) & (prediction <= classes)
    if known.all():
        return prediction
    result = prediction.copy()
    finite = np.isfinite(xyz).all(axis=1)
    source = np.flatnonzero(known & finite)
    result[~known] = np.bincount(prediction[known], minlength=2).argmax() if known.any() else 1
    if len(source):
        places = np.ascontiguousarray(xyz[source], np.float32)
        square = (places**2).sum(1)
        wanted = np.flatnonzero(~known & finite)
        for start in range(0, len(wanted), chunk):
            some = wanted[start:start + chunk]
            nearest = (square - 2 * xyz[some] @ places.T).argmin(1)
            result[some] = prediction[source[nearest]]
    return result
