"""What masks say of predicted labels: points of one mask should be of one class.

The mask's class is that with most probability over its points. Where the mask is nearly of one mind, points that agree
are confirmed, and points that disagree but were not sure of themselves take its class.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.frame import UNKNOWN, PointLabels

LIDAR_ALONE, CONFIRMED, CHANGED = 0, 1, 2
"""Values of ``source``."""


@dataclass(frozen=True)
class RefineSettings:
    """least_points: of a mask that may speak; least_share: of its probability that its class must have; unsure: points
    below this probability may be changed."""

    least_points: int = 8
    least_share: float = 0.8
    unsure: float = 0.6


def confirm(labels: PointLabels, mask_ids: np.ndarray, settings: RefineSettings | None = None
            ) -> tuple[PointLabels, np.ndarray]:
    """The labels after the masks have spoken, and their source uint8 [N].

    mask_ids  int [N], 0 = none (``point_mask_ids``)
    Unknown points stay unknown. Raises InputError when there is not one id for each point.
    """
    settings = settings or RefineSettings()
    if mask_ids.shape != labels.class_id.shape:
        raise InputError(f'{mask_ids.shape} mask ids for {labels.class_id.shape} labels; give one for each point')
    source = np.zeros(len(mask_ids), np.uint8)
    rows = np.flatnonzero((mask_ids > 0) & (labels.class_id != UNKNOWN))
    if not len(rows):
        return labels, source
    ids, kind, weight = mask_ids[rows].astype(np.int64), labels.class_id[rows], labels.probability[rows]
    classes = int(kind.max()) + 1
    votes = np.bincount(ids * classes + kind, weight, minlength=(int(ids.max()) + 1) * classes).reshape(-1, classes)
    count = np.bincount(ids, minlength=len(votes))
    share = votes.max(axis=1) / np.maximum(votes.sum(axis=1), 1e-9)
    winner = votes.argmax(axis=1).astype(np.uint8)
    speaks = ((count >= settings.least_points) & (share >= settings.least_share))[ids]
    agrees = kind == winner[ids]
    changed = speaks & ~agrees & (weight < settings.unsure)
    source[rows[speaks & agrees]] = CONFIRMED
    source[rows[changed]] = CHANGED
    class_id, probability = labels.class_id.copy(), labels.probability.copy()
    class_id[rows[changed]] = winner[ids[changed]]
    probability[rows[changed]] = share[ids[changed]].astype(np.float32)
    return replace(labels, class_id=class_id, probability=probability), source
