"""Segmentation losses as means over sweeps: what a sweep counts does not depend on which others share its batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from sam2amml_core.losses.segmentation import lovasz_softmax


def mean_cross_entropy(logits: Tensor, label: Tensor, chosen: Sequence[Tensor], weight: Tensor | None = None,
                       smoothing: float = 0.0) -> Tensor:
    """Mean over sweeps of the weighted mean cross-entropy of some points of each.

    logits  [V, C] of train ids 1 .. C;  label  int64 [V], 0 = ignored
    chosen  for each sweep rows of V;  weight  float [C] or None
    A sweep without a labelled point counts 0.
    """
    losses = [_entropy(logits[rows], label[rows], weight, smoothing) for rows in chosen]
    return torch.stack(losses).mean()


def mean_lovasz_softmax(logits: Tensor, label: Tensor, chosen: Sequence[Tensor], points: int) -> Tensor:
    """Mean over sweeps of the Lovasz-softmax loss (Berman et al., 2018) of the first ``points`` chosen of each."""
    return torch.stack([lovasz_softmax(logits[rows[:points]], label[rows[:points]]) for rows in chosen]).mean()


def _entropy(logits: Tensor, label: Tensor, weight: Tensor | None, smoothing: float) -> Tensor:
    if not bool((label > 0).any()):
        return logits.sum() * 0
    return F.cross_entropy(logits.float(), label - 1, weight, ignore_index=-1, label_smoothing=smoothing)
