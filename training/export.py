"""A trained network becomes an ONNX file and a model bundle."""

from __future__ import annotations

import contextlib
import io
import tempfile
import warnings
from copy import deepcopy
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
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
    network.fold_norms()
    features = torch.randn(64, network.config.features)
    pixel = torch.arange(64)
    points = torch.export.Dim('points', min=2)
    quiet = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
        warnings.simplefilter('ignore')
        torch.onnx.export(
            ExportHead(network).eval(), (features, pixel), str(path), dynamo=True, opset_version=OPSET,
            input_names=['features', 'pixel'], output_names=['class_id', 'probability', 'scores'],
            dynamic_shapes={'features': {0: points}, 'pixel': {0: points}}, external_data=False, verbose=False)
    shrink(path)


def shrink(path: Path, minimum: int = 4096) -> None:
    """Store large constants of one value (the empty images that points are scattered into) as ``ConstantOfShape``,
    and drop the exporter's notes on where in the source each node comes from."""
    model = onnx.load(path)
    graph = model.graph
    fills = []
    for tensor in list(graph.initializer):
        values = numpy_helper.to_array(tensor)
        if values.size < minimum or np.ptp(values) != 0:
            continue
        shape = numpy_helper.from_array(np.array(values.shape, np.int64), f'{tensor.name}_shape')
        graph.initializer.remove(tensor)
        graph.initializer.append(shape)
        value = numpy_helper.from_array(values.ravel()[:1])
        fills.append(helper.make_node('ConstantOfShape', [shape.name], [tensor.name], value=value))
    nodes = [*fills, *graph.node]
    for node in nodes:
        del node.metadata_props[:]
        node.doc_string = ''
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def export_bundle(network: FrustumRangeNet, folder: Path, name: str, schema: ClassSchema, sensor: SensorGeometry,
                  normalisation: Normalisation, provenance: Provenance) -> ModelBundle:
    """Export ``network`` and write it as a bundle folder; raises ``BundleError`` if that is not possible."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / 'model.onnx'
        export_onnx(network, file)
        return write_bundle(folder, file, name, schema, sensor, normalisation, provenance)
