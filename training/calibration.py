"""Undoing what class-balanced training does to rare classes: it finds them, but too often where they are not.

A share of the logarithm of each class's weight is subtracted from its score (logit adjustment, Menon et al., 2021).
The one share is chosen on synthetic validation sweeps; the result becomes part of the exported classifier.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from sam2amml_core.errors import InputError
from sam2amml_core.lidar.backbones.backbone import Backbone
from sam2amml_core.metrics import ConfusionMatrix
from training.batches import join, prepare_sweep
from training.labelled_sweep import LabelledSweep
from training.recipe import Recipe

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


def held_out_scores(network: Backbone, sweeps: Iterable[LabelledSweep], recipe: Recipe,
                    every: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Scores float32 [N, C] and train ids [N] of every so many labelled points of some sweeps."""
    network = network.eval()
    scores, labels = [], []
    with torch.no_grad():
        for sweep in sweeps:
            batch = join([prepare_sweep(sweep, recipe, network.input_spec)])
            label = batch.label.numpy()
            known = np.flatnonzero(label > 0)[::every]
            scores.append(network(batch.points).logits.numpy()[known])
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


def add_bias(network: Backbone, bias: np.ndarray) -> None:
    """Make the constants [C] part of the classifier, in place. Raises InputError when it has no bias."""
    found = [p for name, p in network.named_parameters() if name.endswith('classifier.bias') and p.shape == bias.shape]
    if len(found) != 1:
        raise InputError(f'{type(network).__name__} has no classifier with a bias per class; export it as it is')
    with torch.no_grad():
        found[0].add_(torch.from_numpy(bias))
