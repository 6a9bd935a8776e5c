"""Undoing what class-balanced training does to rare classes: it finds them, but too often where they are not.

A share of the logarithm of each class's weight is subtracted from its score (logit adjustment, Menon et al., 2021).
The one share is chosen on synthetic validation sweeps; the result becomes part of the exported classifier.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from sam2amml_core.lidar.backbones.frustum_range_net import FrustumRangeNet
from sam2amml_core.metrics import ConfusionMatrix
from training.batches import prepare
from training.labelled_sweep import LabelledSweep
from training.recipe import Recipe

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


def held_out_scores(network: FrustumRangeNet, sweeps: Iterable[LabelledSweep], recipe: Recipe,
                    every: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Scores float32 [N, C] and train ids [N] of every so many labelled points of some sweeps."""
    network = network.eval()
    scores, labels = [], []
    with torch.no_grad():
        for sweep in sweeps:
            features, pixel, label = prepare(sweep, recipe)
            known = np.flatnonzero(label > 0)[::every]
            scores.append(network(torch.from_numpy(features), torch.from_numpy(pixel)).numpy()[known])
            labels.append(label[known])
    return np.concatenate(scores), np.concatenate(labels)


def best_adjustment(scores: np.ndarray, label: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray]:
    """The share of ``log(weights)`` [C] whose subtraction from the scores raises mIoU most, and what to add for it."""
    biases = [(share, (-share * np.log(weights)).astype(np.float32)) for share in SHARES]
    return max(biases, key=lambda entry: _miou(scores, entry[1], label))


def _miou(scores: np.ndarray, bias: np.ndarray, label: np.ndarray) -> float:
    matrix = ConfusionMatrix(scores.shape[1])
    matrix.add((scores + bias).argmax(1) + 1, label)
    return matrix.miou()


def add_bias(network: FrustumRangeNet, bias: np.ndarray) -> None:
    """Make the constants part of the classifier, in place."""
    with torch.no_grad():
        network.classifier.bias.add_(torch.from_numpy(bias))
