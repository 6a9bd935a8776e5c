"""Losses of point labels: class-balanced cross-entropy and Lovasz-softmax."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


def class_weights(counts: np.ndarray, power: float = 0.5, limit: float = 20.0) -> np.ndarray:
    """Weights float32 [C] from point counts [C] (unlabeled left out): frequency ** -power, frequent classes near 1.

    None exceeds ``limit`` times the smallest; a class that was not seen weighs as much as the rarest may. The mean
    over all points is 1.
    """
    total = max(int(counts.sum()), 1)
    weights = (np.maximum(counts, 1) / total) ** -power
    weights = np.minimum(weights / weights.min(), limit)
    weights /= max((weights * counts).sum() / total, 1e-9)
    return weights.astype(np.float32)


def cross_entropy(scores: Tensor, label: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean cross-entropy of ``scores`` [N, C] and train ids ``label`` [N], where 0 is ignored."""
    return F.cross_entropy(scores.float(), label - 1, weight, ignore_index=-1)


def lovasz_softmax(scores: Tensor, label: Tensor) -> Tensor:
    """Lovasz-softmax loss (Berman et al., 2018, eq. 9 and 11), mean over the classes present; train id 0 is ignored.

    The surrogate of 1 - IoU of class c is the sum over its errors m, sorted downwards, times the growth of the
    Jaccard loss at each of them.
    """
    known = label > 0
    if not bool(known.any()):
        return scores.sum() * 0
    of_class = scores[known].float().softmax(1).unbind(1)  # at once: gradients of single columns would each be a matrix
    label = label[known] - 1
    losses = []
    for c in label.unique().tolist():
        target = (label == c).float()
        error, order = (target - of_class[c]).abs().sort(descending=True)
        losses.append(torch.dot(error, _jaccard_growth(target[order])))
    return torch.stack(losses).mean()


def _jaccard_growth(target: Tensor) -> Tensor:
    """Growth of the Jaccard loss as points [N], sorted by error, join the set of mistakes one by one."""
    total = target.sum()
    intersection = total - target.cumsum(0)
    union = total + (1 - target).cumsum(0)
    jaccard = 1 - intersection / union
    return torch.cat((jaccard[:1], jaccard[1:] - jaccard[:-1]))
