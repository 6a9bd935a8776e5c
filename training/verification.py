"""How far an exported graph is from its network: logits, labels, and labels again at half precision, class by class."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from pydantic import BaseModel
from rich.console import Console

from sam2amml_core.bundle import ModelBundle
from sam2amml_core.errors import BundleError, InputError
from sam2amml_core.frame import PointCloud
from sam2amml_core.lidar.backbones.backbone import Backbone, PointBatch
from sam2amml_core.lidar.flat_sweep import flat_sweep
from sam2amml_core.lidar.preparation import prepare
from training.sweep_cache import CachedSweeps

REPORT_FILE = 'verification.json'
TOLERANCE = 1e-4
"""Largest difference of logits that rounding explains; see ``BundleCheck.sound``."""


class BundleCheck(BaseModel):
    """An ONNX file against the network it was made of, on the same sweeps, in ONNX Runtime on the CPU.

    max_logit_difference   largest absolute difference of any class score of any point
    logit_range            largest absolute score, to judge it by
    label_agreement        share of the points with the same class
    half_label_agreement   the same for the graph converted to half precision; None if it does not run here
    half_agreement         that share for the points of each class; classes without points are missing
    """

    sweeps: int
    points: int
    max_logit_difference: float
    logit_range: float
    label_agreement: float
    half_label_agreement: float | None = None
    half_agreement: dict[str, float] = {}

    @property
    def sound(self) -> bool:
        """Whether the difference is rounding: within 1e-4 of scores of up to 10, or of their range above."""
        return self.max_logit_difference <= TOLERANCE * max(1.0, self.logit_range / 10)

    def write(self, bundle: ModelBundle) -> Path:
        """Put the report beside the bundle's description."""
        path = bundle.path / REPORT_FILE
        path.write_text(json.dumps(self.model_dump(), indent=2) + '\n', encoding='utf-8')
        return path


def check_bundle(network: Backbone, bundle: ModelBundle, clouds: Sequence[PointCloud] = (), half: bool = True
                 ) -> BundleCheck:
    """Compare ``bundle`` with ``network`` on ``clouds`` (default: a made-up sweep of the bundle's LiDAR).

    Raises ``InputError`` if no sweep has a point inside the sensor geometry.
    """
    network.eval()
    clouds = clouds or (flat_sweep(bundle.sensor),)
    single = ort.InferenceSession(str(bundle.onnx_path), providers=['CPUExecutionProvider'])
    halved = _half_session(bundle.onnx_path) if half else None
    points = same = half_same = 0
    worst = largest = 0.0
    counts = np.zeros((2, len(bundle.spec.classes)), np.int64)  # points, and those alike at half precision
    for cloud in clouds:
        prepared = prepare(bundle.input, cloud, bundle.sensor, bundle.normalisation)
        if not prepared.points:
            continue
        with torch.inference_mode():
            expected = network(PointBatch.join([prepared], [cloud])).logits.float().numpy()
        scores = single.run(['scores'], prepared.inputs)[0]
        label = expected.argmax(1) + 1
        points += len(label)
        same += int(np.count_nonzero(scores.argmax(1) + 1 == label))
        worst = max(worst, float(np.abs(scores - expected).max()))
        largest = max(largest, float(np.abs(expected).max()))
        if halved is not None:
            alike = halved.run(['scores'], prepared.inputs)[0].argmax(1) + 1 == label
            half_same += int(np.count_nonzero(alike))
            for row, chosen in zip(counts, (label, label[alike]), strict=True):
                row += np.bincount(chosen, minlength=len(row))
    if not points:
        raise InputError(f'no sweep has a point for {bundle.name}; give sweeps of its LiDAR in the sensor frame')
    per_class = {entry.name: round(float(alike / total), 6)
                 for entry, total, alike in zip(bundle.spec.classes, *counts, strict=True) if total}
    return BundleCheck(sweeps=len(clouds), points=points, max_logit_difference=worst, logit_range=largest,
                       label_agreement=same / points,
                       half_label_agreement=half_same / points if halved is not None else None,
                       half_agreement=per_class)


def verify_bundle(network: Backbone, bundle: ModelBundle, sweeps: Path | None = None) -> BundleCheck:
    """Compare the bundle with its network on up to four cached sweeps, else a made-up one; write and print the report.

    Raises ``BundleError`` if they differ by more than rounding.
    """
    cached = islice(CachedSweeps(sweeps, bundle.schema.name), 4) if sweeps is not None else ()
    check = check_bundle(network, bundle, [PointCloud(sweep.xyz, sweep.intensity) for sweep in cached])
    file = check.write(bundle)
    half = '' if check.half_label_agreement is None else f', {check.half_label_agreement:.3%} at half precision'
    Console(stderr=True).print(
        f'{bundle.name}: logits differ by {check.max_logit_difference:.1e} from torch on {check.points:,} points, '
        f'{check.label_agreement:.3%} of the labels alike{half}; by class in {file}', highlight=False)
    if not check.sound:
        raise BundleError(f'{bundle.onnx_path} is not the network it was made of (logits differ by '
                          f'{check.max_logit_difference:.1e}); do not use it, and report your torch and onnx')
    return check


def _half_session(path: Path) -> ort.InferenceSession | None:
    """The graph with weights and arithmetic of half precision (float inputs and outputs), or None if it cannot run.

    ONNX Runtime's CPU has no half kernel for scatters with a reduction: these run in single precision on half values.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16

    converted = convert_float_to_float16(onnx.load(path), keep_io_types=True, op_block_list=['ScatterElements'])
    first: dict[str, int] = {}  # it casts a value once for each reader
    for number, node in enumerate(converted.graph.node):
        first.setdefault(node.output[0], number)
    kept = [converted.graph.node[number] for number in sorted(first.values())]
    for number, node in enumerate(kept):
        node.name = f'{node.op_type}_{number}'
    del converted.graph.node[:]
    converted.graph.node.extend(kept)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / 'half.onnx'
        onnx.save(converted, file)
        options = ort.SessionOptions()
        options.log_severity_level = 3
        try:
            return ort.InferenceSession(str(file), options, providers=['CPUExecutionProvider'])
        except Exception:  # ONNX Runtime's exceptions share no public base class
            return None
