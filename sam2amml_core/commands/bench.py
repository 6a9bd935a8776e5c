"""``sam2amml bench``: from message to labels, how long each stage takes on this machine; as text and as JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from sam2amml_core.bundle import ModelBundle, load_bundle
from sam2amml_core.engines.engine import build_only
from sam2amml_core.errors import InputError
from sam2amml_core.frame import UNKNOWN, Frame, PointCloud
from sam2amml_core.io.inputs import open_input
from sam2amml_core.io.pointcloud2 import TYPES, Field, decode
from sam2amml_core.lidar.flat_sweep import flat_sweep
from sam2amml_core.segmenter import Segmenter

STAGES = ('decode', 'preprocess', 'inference', 'postprocess', 'total')
PERCENTILES = (50, 95, 99)
WARM_UP = 3
LARGEST_INPUT = 50
"""Sweeps of a recording that are kept in memory and taken in turns."""


@dataclass
class Message:
    """A PointCloud2 without ROS."""

    width: int
    fields: Sequence[Any]
    point_step: int
    row_step: int
    data: np.ndarray
    height: int = 1
    is_bigendian: bool = False


def as_message(cloud: PointCloud) -> Message:
    """The cloud as a driver would send it: x, y, z, intensity, and ring and time if it has them, without padding."""
    columns = {'x': cloud.xyz[:, 0], 'y': cloud.xyz[:, 1], 'z': cloud.xyz[:, 2], 'intensity': cloud.intensity,
               'ring': cloud.ring, 'time': cloud.time}
    kinds = {name: np.dtype('<u2' if name == 'ring' else '<f4') for name, values in columns.items()
             if values is not None}
    rows = np.empty(len(cloud), np.dtype(list(kinds.items())))
    for name in kinds:
        rows[name] = columns[name]
    numbers = {np.dtype(code): number for number, code in TYPES.items()}
    offsets = {name: entry[1] for name, entry in (rows.dtype.fields or {}).items()}
    fields = [Field(name, offsets[name], numbers[kind]) for name, kind in kinds.items()]
    return Message(len(cloud), fields, rows.itemsize, rows.nbytes, rows.view(np.uint8))


def run(model: str, input_path: Path | None = None, engine: str = 'auto', threads: int = 2, sweeps: int = 100,
        output: Path | None = None, only_build: bool = False, console: Console | None = None) -> dict[str, Any]:
    """Time ``sweeps`` sweeps of ``input_path`` (default: a made-up one of the model's LiDAR) after three to warm up.

    Prints a table; writes JSON to ``output`` if given; returns what it holds. With ``only_build`` it builds the
    TensorRT plan for this GPU and times nothing.
    Raises InputError, BundleError or EngineError.
    """
    console = console or Console()
    if sweeps < 1:
        raise InputError(f'bench needs at least 1 sweep, got {sweeps}')
    bundle = load_bundle(model)
    if only_build:
        name = build_only(bundle, 'single' if engine == 'tensorrt-single' else 'half')
        console.print(f'{bundle.name}: built for {name}', highlight=False)
        return {'model': bundle.name, 'engine': name}
    segmenter = Segmenter.open(model, engine, threads)
    messages = [as_message(cloud) for cloud in _clouds(bundle, input_path)]
    spans: dict[str, list[float]] = {stage: [] for stage in STAGES}
    points, unknown = [], []
    for number, message in enumerate(islice(cycle(messages), sweeps + WARM_UP)):
        start = perf_counter()
        cloud = decode(message)
        decoded = perf_counter()
        labels = segmenter.segment(Frame(cloud))
        done = perf_counter()
        if number < WARM_UP:
            continue
        taken = {'decode': 1e3 * (decoded - start), **labels.stage_ms, 'total': 1e3 * (done - start)}
        for stage in STAGES:
            spans[stage].append(taken[stage])
        points.append(len(cloud))
        unknown.append(int(np.count_nonzero(labels.class_id == UNKNOWN)))
    report: dict[str, Any] = {
        'model': bundle.name, 'engine': segmenter.engine.name, 'reason': segmenter.engine.reason,
        'precision': 'half' if 'half' in segmenter.engine.name else 'single', 'threads': threads, 'machine': machine(),
        'input': str(input_path) if input_path is not None else 'made up', 'sweeps': sweeps,
        'points': round(float(np.mean(points))), 'unknown_points': round(float(np.mean(unknown))),
        'stage_ms': {stage: {f'p{q}': round(float(np.percentile(span, q)), 3) for q in PERCENTILES}
                     for stage, span in spans.items()}}
    report['hertz'] = round(1e3 / max(1e-6, report['stage_ms']['total']['p50']), 1)
    console.print(headline(report), highlight=False)
    console.print(make_table(report))
    if output is not None:
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(json.dumps(report, indent=2) + '\n', encoding='utf-8')
        except OSError as error:
            raise InputError(f'cannot write {output}: {error.strerror}; choose another file') from error
    return report


def headline(report: dict[str, Any]) -> str:
    """The setting of a report, and its rate."""
    machine = report['machine']
    return (f'{report["model"]} on {report["points"]:,} points: {report["hertz"]} Hz\n'
            f'{report["engine"]}, {report["precision"]} precision, {report["sweeps"]} sweeps\n'
            f'{machine["processor"]}, {machine["cores"]} cores')


def make_table(report: dict[str, Any]) -> Table:
    """Stages and percentiles, in milliseconds."""
    table = Table()
    table.add_column('ms')
    for q in PERCENTILES:
        table.add_column(f'p{q}', justify='right')
    for stage in STAGES:
        table.add_row(stage, *(f'{report["stage_ms"][stage][f"p{q}"]:.2f}' for q in PERCENTILES))
    return table


def machine() -> dict[str, Any]:
    """What the figures depend on: processor, cores this process may use, system, Python."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines()
        name = next(line.split(':', 1)[1].strip() for line in lines if line.startswith('model name'))
    except (OSError, StopIteration):
        pass  # not Linux, or an ARM that does not say
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    return {'processor': name, 'cores': cores, 'system': platform.system(), 'python': platform.python_version()}


def _clouds(bundle: ModelBundle, input_path: Path | None) -> Iterator[PointCloud]:
    if input_path is None:
        yield flat_sweep(bundle.sensor)
        return
    found = False
    for _, frame in islice(iter(open_input(input_path, images=False)), LARGEST_INPUT):
        if len(frame.cloud):
            found = True
            yield frame.cloud
    if not found:
        raise InputError(f'{input_path} holds no sweep with points; give a recording, or none for a made-up sweep')
