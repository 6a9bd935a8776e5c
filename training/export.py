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

from sam2amml_core.bundle import (
    WEIGHTS_FILE,
    ModelBundle,
    Normalisation,
    Provenance,
    SensorGeometry,
    write_bundle,
)
from sam2amml_core.errors import BundleError
from sam2amml_core.frame import PointCloud
from sam2amml_core.labels import ClassSchema
from sam2amml_core.lidar.backbones.backbone import Backbone
from sam2amml_core.lidar.flat_sweep import flat_sweep
from sam2amml_core.lidar.input_spec import InputSpec
from sam2amml_core.lidar.preparation import Prepared, dimensions, input_names, prepare

OPSET = 18
"""The first ONNX operator set whose ScatterElements has a max reduction; TensorRT >= 10 reads it."""

OUTPUTS = ('class_id', 'probability', 'scores')


class ExportHead(nn.Module):
    """Network with the outputs a segmenter asks for: ``class_id`` uint8 [N], ``probability`` [N], ``scores`` [N, C].

    It takes the arrays of ``names`` in this order.
    """

    def __init__(self, network: Backbone, names: tuple[str, ...]) -> None:
        super().__init__()
        self.network = network
        self.names = names

    def forward(self, *arrays: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        scores, _ = self.network.predict(dict(zip(self.names, arrays, strict=True)))
        best = scores.max(1, keepdim=True).values
        probability = (scores - best).exp().sum(1).reciprocal()  # softmax of the best class
        class_id = (scores.argmax(1) + 1).float().to(torch.uint8)  # TensorRT converts to uint8 from floats only
        return class_id, probability, scores


def export_onnx(network: Backbone, path: Path) -> None:
    """Write ``network`` as ONNX with dynamic numbers of points and voxels, in standard operators."""
    network = deepcopy(network).eval().cpu()
    network.prepare_export()
    spec = network.input_spec
    names = input_names(spec)
    arrays = tuple(torch.from_numpy(array) for array in _example(network, spec).inputs.values())
    free = {name: torch.export.Dim(name, min=2) for name in sorted(set(dimensions(spec).values()))}
    shapes = tuple({0: free[dimensions(spec)[name]]} for name in names)
    quiet = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
        warnings.simplefilter('ignore')
        torch.onnx.export(
            ExportHead(network, names).eval(), arrays, str(path), dynamo=True, opset_version=OPSET,
            input_names=list(names), output_names=list(OUTPUTS), dynamic_shapes=(shapes,), external_data=False,
            verbose=False)
    shrink(path)


def _example(network: Backbone, spec: InputSpec) -> Prepared:
    """Part of a made-up sweep, prepared for ``network``: the sizes are free, only the kinds of the arrays count."""
    height, width = network.image_size or (1, 1)
    sensor = SensorGeometry(beams=8, fov_up_deg=3, fov_down_deg=-25, image_height=height, image_width=width,
                            sensor_height_m=1.7)
    names = ('x', 'y', 'z', 'range', 'intensity', 'row_offset', 'column_offset')
    plain = Normalisation(mean=dict.fromkeys(names, 0.0), std=dict.fromkeys(names, 1.0))
    cloud = flat_sweep(sensor)
    return prepare(spec, PointCloud(cloud.xyz[::37].copy(), cloud.intensity[::37].copy()), sensor, plain)


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


def export_bundle(network: Backbone, folder: Path, name: str, schema: ClassSchema,
                  sensor: SensorGeometry, normalisation: Normalisation, provenance: Provenance,
                  with_weights: bool = False) -> ModelBundle:
    """Export ``network`` and write it as a bundle folder; raises ``BundleError`` if that is not possible.

    ``with_weights`` adds its torch weights, for the torch engine; the network must come from the catalogue.
    """
    if with_weights and not network.catalogue_name:
        raise BundleError(f'{type(network).__name__} was not made by the catalogue of backbones, so the torch engine '
                          'could not make it again; export it without weights')
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / 'model.onnx'
        export_onnx(network, file)
        weights = Path(scratch) / WEIGHTS_FILE if with_weights else None
        if weights is not None:
            torch.save(network.state_dict(), weights)
        return write_bundle(folder, file, name, schema, sensor, normalisation, provenance, network.input_spec,
                            network.catalogue_name, weights)
