"""The demo's figures and pictures, from what was published, what was received and the truth."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from sam2amml_core.errors import InputError
from sam2amml_core.io.bag import open_bag
from sam2amml_core.io.bag_messages import CLOUD_TOPIC
from sam2amml_core.io.labels import read_label
from sam2amml_core.io.pointcloud2 import as_structured
from sam2amml_core.labels import ClassSchema, schema
from sam2amml_core.metrics import ConfusionMatrix


@dataclass(frozen=True)
class Sequence:
    """A recorded street: truth files in the order of the sweeps."""

    bag: Path
    labels: tuple[Path, ...]
    cameras: tuple[str, ...]
    schema: ClassSchema

    @property
    def sweeps(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Recording:
    """What a run leaves: the labelled bag, and when each message was published and received."""

    bag: Path
    published: Path
    received: Path


def read_sequence(folder: Path) -> Sequence:
    """Raises InputError when the folder holds no complete sequence."""
    try:
        content = json.loads((folder / 'sequence.json').read_text())
        count, cameras, name = len(content['points']), tuple(content['cameras']), content['schema']
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f'{folder} holds no complete sequence ({error}); remove it and make it again') from error
    labels = tuple(folder / 'labels' / f'{index:06d}.label' for index in range(count))
    return Sequence(folder / 'bag', labels, cameras, schema(name))


def write_report(folder: Path, sequence: Sequence, recording: Recording, media: bool, console: Console) -> dict:
    """Write summary.json and, with ``media``, pictures; print the table; return the summary."""
    published = [entry for entry in _lines(recording.published) if entry['topic'] == CLOUD_TOPIC]
    received = _lines(recording.received)
    order = {entry['stamp_ns']: index for index, entry in enumerate(published)}
    clouds = [entry for entry in received if 'value' not in entry]
    if not clouds:
        raise InputError(f'no labelled sweep arrived; see the logs in {recording.received.parent}')
    labels = read_labelled(recording.bag, order)
    dropped = max((entry['value'] for entry in received if entry['topic'].endswith('dropped_sweeps')), default=0)
    confusion = ConfusionMatrix(len(sequence.schema.names) - 1)
    for index, class_id in labels.items():
        raw = read_label(sequence.labels[index], len(class_id))
        confusion.add(class_id, sequence.schema.raw_to_train[raw & 0xFFFF])
    summary = {
        'sweeps_published': len(published),
        'sweeps_labelled': len(labels),
        'points_per_sweep': round(float(np.mean([len(class_id) for class_id in labels.values()]))),
        'hz': _rate([entry['received_ns'] for entry in clouds]),
        'latency_ms': percentiles([1e-6 * (entry['received_ns'] - published[order[entry['stamp_ns']]]['published_ns'])
                                   for entry in clouds]),
        'stage_ms': stage_times(received),
        'miou': round(100 * confusion.miou(), 2) if confusion.present.any() else None,
        'per_class_iou': confusion.per_class(sequence.schema.names),
    }
    (folder / 'summary.json').write_text(json.dumps(summary, indent=1) + '\n')
    if media:
        from sam2amml_ros.demo_media import write_media

        write_media(folder, sequence, labels, console)
    print_summary(summary, dropped, folder, console)
    return summary


def read_labelled(bag: Path, order: dict[int, int]) -> dict[int, np.ndarray]:
    """Class ids uint8 [N] of each recorded sweep, by its place in the published order (found by the header's stamp)."""
    found = {}
    with open_bag(bag) as reader:
        wanted = [c for c in reader.connections if c.msgtype == 'sensor_msgs/msg/PointCloud2']
        for connection, _, raw in reader.messages(connections=wanted):
            message = reader.deserialize(raw, connection.msgtype)
            stamp_ns = message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
            if stamp_ns not in order:
                raise InputError(f'a labelled sweep has the stamp {stamp_ns}, which was never published')
            found[order[stamp_ns]] = as_structured(message)['class_id'].ravel().copy()
    return found


def stage_times(received: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Percentiles of each stage, from the node's timing topics."""
    values: dict[str, list[float]] = {}
    for entry in received:
        if '/processing_time/' in entry['topic']:
            stage = entry['topic'].rsplit('/', 1)[1].removesuffix('_ms')
            values.setdefault(stage, []).append(entry['value'])
    return {stage: percentiles(times) for stage, times in values.items()}


def percentiles(values: list[float]) -> dict[str, float]:
    """p50, p95 and p99."""
    return {f'p{p}': round(float(np.percentile(values, p)), 2) for p in (50, 95, 99)}


def print_summary(summary: dict[str, Any], dropped: int, folder: Path, console: Console) -> None:
    """The table at the end of the demo; ``dropped`` counts sweeps the node got but was too slow for."""
    latency = summary['latency_ms']
    table = Table(title='Labelled over ROS 2', show_header=False)
    lost = summary['sweeps_published'] - summary['sweeps_labelled']
    rows = {
        'sweeps': f'{summary["sweeps_labelled"]} of {summary["sweeps_published"]} labelled, {lost} lost' + (
            f' ({dropped} came before the node was done)' if dropped else ''),
        'points per sweep': f'{summary["points_per_sweep"]:,}',
        'rate': f'{summary["hz"]:.2f} Hz',
        'latency p50 / p95 / p99': ' / '.join(f'{latency[p]:.1f}' for p in latency) + ' ms',
        **{f'  {stage}': f'{times["p50"]:.1f} / {times["p95"]:.1f} / {times["p99"]:.1f} ms'
           for stage, times in summary['stage_ms'].items()},
        'mIoU': 'no truth' if summary['miou'] is None else f'{summary["miou"]:.1f} %',
        **{f'  {name}': f'{value:.1f} %' for name, value in summary['per_class_iou'].items()},
    }
    for name, text in rows.items():
        table.add_row(name, text)
    console.print(table)
    console.print(f'summary, pictures and the labelled bag: {folder}')


def _rate(times_ns: list[int]) -> float:
    span = (max(times_ns) - min(times_ns)) * 1e-9
    return round((len(times_ns) - 1) / span, 3) if span > 0 else 0.0


def _lines(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in path.read_text().splitlines()]
    except (OSError, ValueError) as error:
        raise InputError(f'{path} cannot be read ({error}); a node ended early, see its log beside it') from error
