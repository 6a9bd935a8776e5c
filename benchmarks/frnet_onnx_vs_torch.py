"""The shipped 64-beam network on a full sweep: ONNX Runtime against torch, and the rate from points to labels.

The graph is exported here from a fresh network of the same shape as ``street64`` (weights do not change the time) and
checked against torch first. Ours is ONNX Runtime, the peer torch in inference mode, both on two threads, turn by turn;
``hertz`` is the whole segmenter, from points to labels, with its p99 of the time beside it.
Run: ``python benchmarks/frnet_onnx_vs_torch.py [--repeats 30]``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from _street_sweep import limit_threads, street_sweep

from sam2amml_core.bundle import Provenance
from sam2amml_core.frame import Frame
from sam2amml_core.labels import SEMANTIC_KITTI
from sam2amml_core.lidar.backbones.backbone import PointBatch
from sam2amml_core.lidar.backbones.catalogue import create
from sam2amml_core.lidar.preparation import prepare
from sam2amml_core.segmenter import Segmenter
from training.export import export_bundle
from training.recipe_files import find_recipe
from training.verification import check_bundle

STREET64 = find_recipe('street64')

THREADS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--repeats', type=int, default=30)
    options = parser.parse_args()
    limit_threads(THREADS)
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    cloud = street_sweep()
    network = create('frustum_range_net', 19, STREET64.sensor).eval()
    with tempfile.TemporaryDirectory() as folder:
        bundle = export_bundle(network, Path(folder) / 'street64', 'street64', SEMANTIC_KITTI, STREET64.sensor,
                               STREET64.normalisation, Provenance())
        check = check_bundle(network, bundle, [cloud], half=False)
        print(f'{check.points} points: largest difference of logits {check.max_logit_difference:.1e}, '
              f'labels alike {check.label_agreement:.4%}')
        if not check.sound:
            raise SystemExit('the graph is not the network')
        segmenter = Segmenter.open(bundle.path, 'cpu', THREADS)
    prepared = prepare(network.input_spec, cloud, STREET64.sensor, STREET64.normalisation)
    batch = PointBatch.join([prepared], [cloud])
    spans: dict[str, list[float]] = {'onnx': [], 'torch': [], 'whole': []}
    with torch.inference_mode():
        for turn in range(options.repeats + 2):
            start = perf_counter()
            segmenter.engine.run(prepared.inputs, ('class_id', 'probability'))
            onnx = perf_counter()
            network(batch)
            peer = perf_counter()
            segmenter.segment(Frame(cloud))
            whole = perf_counter()
            if turn >= 2:
                for name, span in (('onnx', onnx - start), ('torch', peer - onnx), ('whole', whole - peer)):
                    spans[name].append(1e3 * span)
    mine, theirs, whole_ms = (float(np.median(spans[name])) for name in ('onnx', 'torch', 'whole'))
    print(json.dumps({'name': 'frnet-onnx-vs-torch', 'ours': round(mine, 1), 'peer': round(theirs, 1),
                      'ratio': round(theirs / mine, 2), 'unit': 'ms', 'n': check.points, 'threads': THREADS,
                      'hertz': round(1e3 / whole_ms, 1), 'p99_ms': round(float(np.percentile(spans['whole'], 99)), 1)}))


if __name__ == '__main__':
    main()
