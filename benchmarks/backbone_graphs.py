"""Every backbone as a graph: what it costs in ONNX Runtime and how far it is from torch, from 1,000 to 200,000 points.

Weights are random, which changes neither time nor rounding. ``ours`` is the largest difference of logits over all
backbones and sizes, ``peer`` the tolerance of 1e-4; ``failed`` names backbones beyond it. Full-sized networks take
seconds a sweep on a CPU. Run: ``python benchmarks/backbone_graphs.py [--names minkunet18,...]``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
import onnx
import onnxruntime as ort
import torch
from _street_sweep import limit_threads, street_sweep

from sam2amml_core.bundle import load_bundle
from sam2amml_core.frame import PointCloud
from sam2amml_core.lidar.backbones.backbone import PointBatch
from sam2amml_core.lidar.backbones.catalogue import create
from sam2amml_core.lidar.preparation import prepare
from training.export import export_onnx

SMALL = ('frustum_range_net', 'minkunet18_small', 'cylinder_unet_small', 'waffle_iron')
SIZES = (1_000, 120_000, 200_000)
TOLERANCE = 1e-4
THREADS = 2


def sized(cloud: PointCloud, count: int) -> PointCloud:
    """``count`` points of a sweep; more than it has are points again, moved by up to 0.5 m."""
    random = np.random.default_rng(0)
    rows = random.permutation(len(cloud))[:count]
    xyz, intensity = cloud.xyz[rows], cloud.intensity[rows]
    if count > len(cloud):
        again = random.integers(0, len(cloud), count - len(cloud))
        moved = cloud.xyz[again] + random.uniform(-0.5, 0.5, (len(again), 3)).astype(np.float32)
        xyz, intensity = np.concatenate((xyz, moved)), np.concatenate((intensity, cloud.intensity[again]))
    return PointCloud(xyz, intensity)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--names', default=','.join(SMALL))
    options = parser.parse_args()
    limit_threads(THREADS)
    torch.set_num_threads(THREADS)
    sweep = street_sweep()
    worst, failed = 0.0, []
    bundle = load_bundle('street64')
    sensor, normalisation = bundle.sensor, bundle.normalisation
    for name in options.names.split(','):
        torch.manual_seed(0)
        network = create(name, 19, sensor)
        with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
            cloud = sized(sweep, 20_000)
            network(PointBatch.join([prepare(network.input_spec, cloud, sensor, normalisation)], [cloud]))
            network.eval()
            file = Path(folder) / 'model.onnx'
            start = perf_counter()
            export_onnx(network, file)
            exported = perf_counter() - start
            settings = ort.SessionOptions()
            settings.intra_op_num_threads = THREADS
            session = ort.InferenceSession(str(file), settings, providers=['CPUExecutionProvider'])
            weights = sum(p.numel() for p in network.parameters())
            print(f'{name}: {weights / 1e6:.2f} M weights, {len(onnx.load(file).graph.node)} nodes, '
                  f'exported in {exported:.0f} s', flush=True)
            for count in SIZES:
                cloud = sized(sweep, count)
                begin = perf_counter()
                prepared = prepare(network.input_spec, cloud, sensor, normalisation)
                ready = perf_counter()
                scores = session.run(['scores'], prepared.inputs)[0]
                ran = perf_counter()
                expected = network(PointBatch.join([prepared], [cloud])).logits.numpy()
                peer = perf_counter()
                difference = float(np.abs(scores - expected).max())
                worst = max(worst, difference)
                print(f'  {count} points: prepared in {1e3 * (ready - begin):.0f} ms, '
                      f'graph {1e3 * (ran - ready):.0f} ms, torch {1e3 * (peer - ran):.0f} ms, '
                      f'difference {difference:.1e} of {np.abs(expected).max():.1f}', flush=True)
                if difference > TOLERANCE and name not in failed:
                    failed.append(name)
    print(json.dumps({'name': 'backbone-graphs', 'ours': worst, 'peer': TOLERANCE,
                      'ratio': round(TOLERANCE / max(worst, 1e-12), 1), 'unit': 'difference of logits',
                      'n': SIZES[-1], 'threads': THREADS, 'failed': failed}))


if __name__ == '__main__':
    main()
