"""A trained network becomes an ONNX file and a model bundle."""

from __future__ import annotations

import contextlib
import io
import tempfile
import warnings
from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor, nn

from sam2amml_core.bundle import ModelBundle, Normalisation, Provenance, SensorGeometry, write_bundle
from sam2amml_core.labels import ClassSchema
from sam2amml_core.lidar.backbones.frustum_range_net import FrustumRangeNet

OPSET = 18
"""The first ONNX operator set whose ScatterElements has a max reduction; TensorRT >= 10 reads it."""


class ExportHead(nn.Module):
    """Network with the outputs a segmenter asks for: ``class_id`` uint8 [N], ``probability`` [N], ``scores`` [N, C]."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: Tensor, pixel: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        scores = self.network(features, pixel)
        best = scores.max(1, keepdim=True).values
        probability = (scores - best).exp().sum(1).reciprocal()  # softmax of the best class
        return (scores.argmax(1) + 1).to(torch.uint8), probability, scores


def export_onnx(network: FrustumRangeNet, path: Path) -> None:
    """Write ``network`` as ONNX with a dynamic number of points."""
    network = deepcopy(network).eval().cpu()
    fold_batch_norm(network)
    features = torch.randn(64, network.config.features)
    pixel = torch.arange(64)
    points = torch.export.Dim('points', min=2)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter('ignore')
        torch.onnx.export(
            ExportHead(network).eval(), (features, pixel), str(path), dynamo=True, opset_version=OPSET,
            input_names=['features', 'pixel'], output_names=['class_id', 'probability', 'scores'],
            dynamic_shapes={'features': {0: points}, 'pixel': {0: points}}, external_data=False, verbose=False)


def fold_batch_norm(network: FrustumRangeNet) -> None:
    """Fold the batch norms of point layers into their linear layers, in place; convolutions are folded by runtimes."""
    for layer in (network.point_in, network.point_out):
        layer.linear, layer.norm = _folded(layer.linear, layer.norm), nn.Identity()
    norm = network.head_norm
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    with torch.no_grad():
        network.head_image.weight.mul_(scale[:, None, None, None])
    network.head_point, network.head_norm = _folded(network.head_point, norm), nn.Identity()


def _folded(linear: nn.Linear, norm: nn.BatchNorm1d) -> nn.Linear:
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    result = nn.Linear(linear.in_features, linear.out_features)
    with torch.no_grad():
        result.weight.copy_(linear.weight * scale[:, None])
        result.bias.copy_(norm.bias - norm.running_mean * scale)
    return result


def export_bundle(network: FrustumRangeNet, folder: Path, name: str, schema: ClassSchema, sensor: SensorGeometry,
                  normalisation: Normalisation, provenance: Provenance) -> ModelBundle:
    """Export ``network`` and write it as a bundle folder; raises ``BundleError`` if that is not possible."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / 'model.onnx'
        export_onnx(network, file)
        return write_bundle(folder, file, name, schema, sensor, normalisation, provenance)
