"""What parameters make of the network's labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.frame import UNKNOWN, PointLabels


def class_mask(names: tuple[str, ...], known: tuple[str, ...]) -> np.ndarray:
    """bool [256], True for the classes named. Raises InputError for names the model does not know."""
    mask = np.zeros(256, bool)
    for name in names:
        if name != 'unknown' and name not in known[1:]:
            raise InputError(f'parameter filtered_classes has {name!r}; the model knows '
                             f'{", ".join(known[1:])} and unknown')
        mask[UNKNOWN if name == 'unknown' else known.index(name)] = True
    return mask


def confident(labels: PointLabels, threshold: float) -> PointLabels:
    """Labels less probable than the threshold as unknown; their probability stays."""
    if threshold <= 0:
        return labels
    return replace(labels, class_id=np.where(labels.probability < threshold, np.uint8(UNKNOWN), labels.class_id))
