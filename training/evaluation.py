"""Scores of a model bundle on labelled sweeps, with the very segmenter that runs on the vehicle."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from sam2amml_core.frame import Frame, PointCloud
from sam2amml_core.metrics import ConfusionMatrix
from sam2amml_core.segmenter import Segmenter
from training.labelled_sweep import LabelledSweep


def evaluate(segmenter: Segmenter, sweeps: Iterable[LabelledSweep]) -> ConfusionMatrix:
    """Confusion of the segmenter's labels with the truth, in the train ids of the bundle's schema."""
    matrix = ConfusionMatrix(len(segmenter.bundle.schema.names) - 1)
    for sweep in sweeps:
        frame = Frame(PointCloud(np.ascontiguousarray(sweep.xyz, np.float32), sweep.intensity, ring=sweep.ring))
        matrix.add(segmenter.segment(frame).class_id, sweep.label)
    return matrix
