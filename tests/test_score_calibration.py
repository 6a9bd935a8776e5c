from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from sam2amml_core.lidar.backbones.frustum_range_net import FrustumRangeNetConfig  # noqa: E402
from sam2amml_core.lidar.backbones.range_backbone import RangeBackbone  # noqa: E402
from training.calibration import add_bias, best_adjustment  # noqa: E402


def test_scores_of_balanced_training_are_put_right() -> None:
    """Scores are log-probabilities plus the whole log of the weights: undoing all of it is best."""
    random = np.random.default_rng(0)
    weights = np.array([0.2, 1.0, 12.0], np.float32)
    label = random.choice([1, 2, 3], 20_000, p=[0.9, 0.09, 0.01])
    evidence = random.normal(0, 1, (20_000, 3)) + 2 * np.eye(3)[label - 1]
    log_posterior = 2 * evidence + np.log([0.9, 0.09, 0.01])
    share, bias = best_adjustment((log_posterior + np.log(weights)).astype(np.float32), label, weights)
    assert share in (0.5, 0.75, 1.0)
    np.testing.assert_allclose(bias, -share * np.log(weights), rtol=1e-6)
    assert best_adjustment(np.eye(3, dtype=np.float32)[label - 1] * 99, label, weights)[0] == 0  # nothing to put right


def test_the_adjustment_becomes_part_of_the_classifier() -> None:
    torch.manual_seed(0)
    config = FrustumRangeNetConfig(height=8, width=16, classes=3, channels=(4, 4), blocks=(1, 1))
    network = RangeBackbone(config).eval()
    features, pixel = torch.randn(40, config.features), torch.randint(128, (40,))
    with torch.no_grad():
        before = network.network(features, pixel)
        add_bias(network, np.array([1.0, 0, -2], np.float32))
        np.testing.assert_allclose(network.network(features, pixel) - before, np.tile([1, 0, -2], (40, 1)), atol=1e-5)
