"""``sam2amml segment``: the segmenter of the node, without ROS, on a recording."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from sam2amml_core.errors import InputError
from sam2amml_core.frame import UNKNOWN, Frame, PointLabels
from sam2amml_core.io.inputs import open_input
from sam2amml_core.io.labels import make_folder, write_label
from sam2amml_core.io.source import InputSource
from sam2amml_core.labels import ClassSchema
from sam2amml_core.metrics import ConfusionMatrix
from sam2amml_core.segmenter import Segmenter
from sam2amml_core.viz import bird_eye, labelled_view, palette


@dataclass(frozen=True)
class SegmentOptions:
    """What to do beside labelling.

    pictures  a bird's-eye picture of each sweep
    cameras   read the images and draw the labels over them
    limit     stop after so many sweeps; None for all
    """

    pictures: bool = True
    cameras: bool = True
    limit: int | None = None


@dataclass
class Tally:
    """What is counted over all sweeps."""

    sweeps: int = 0
    points: int = 0
    unknown: int = 0
    per_class: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))
    stage_ms: dict[str, list[float]] = field(default_factory=dict)
    matrix: ConfusionMatrix | None = None

    def add(self, labels: PointLabels) -> None:
        self.sweeps += 1
        self.points += len(labels.class_id)
        self.unknown += int(np.count_nonzero(labels.class_id == UNKNOWN))
        self.per_class += np.bincount(labels.class_id, minlength=256)
        for stage, spent in {**labels.stage_ms, 'total': sum(labels.stage_ms.values())}.items():
            self.stage_ms.setdefault(stage, []).append(spent)


def run(input_path: Path, output: Path, model: str = 'auto', engine: str = 'auto', threads: int = 2,
        options: SegmentOptions | None = None, console: Console | None = None) -> dict[str, Any]:
    """Label every sweep of ``input_path``; write ``labels/NAME.label`` (raw ids), ``pictures/`` and ``summary.json``.

    model: a shipped name, a bundle folder, or 'auto': 'street32' for nuScenes and LiDARs of up to 40 beams, else
    'street64'. Prints a table and, where the input brings labels of the model's classes, the mIoU.
    Returns the summary. Raises InputError, BundleError or EngineError.
    """
    options = options or SegmentOptions()
    console = console or Console()
    source = open_input(input_path, images=options.cameras)
    make_folder(output)
    segmenter = Segmenter.open(source.model if model == 'auto' else model, engine, threads)
    schema = segmenter.bundle.schema
    raw_ids = np.zeros(256, np.uint32)
    raw_ids[:len(schema.train_to_raw)] = schema.train_to_raw
    colors = palette(schema.colors)
    total = len(source) if options.limit is None else min(options.limit, len(source))
    console.print(f'{source.kind} {input_path}: {total} sweeps, model {segmenter.bundle.name}')
    segmenter.warm_up()
    tally = Tally()
    with Progress(TextColumn('segment'), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
                  console=Console(stderr=True)) as progress:
        bar = progress.add_task('segment', total=total)
        for name, frame in source:
            if tally.sweeps == total:
                break
            labels = segmenter.segment(frame)
            tally.add(labels)
            write_label(output / 'labels' / f'{name}.label', raw_ids[labels.class_id])
            _compare(tally, source, name, labels, schema)
            drawn = draw(frame, colors[labels.class_id], options) if options.pictures or options.cameras else ()
            for picture, image in drawn:
                save_picture(output / 'pictures' / f'{name}{picture}', image)
            progress.advance(bar)
    summary = summarise(tally, schema, segmenter.bundle.name)
    (output / 'summary.json').write_text(json.dumps(summary, indent=2) + '\n')
    console.print(make_table(summary))
    console.print(headline(summary), style='bold', highlight=False)
    console.print(f'labels and pictures are in {output}')
    return summary


def draw(frame: Frame, colors: np.ndarray, options: SegmentOptions) -> Iterator[tuple[str, np.ndarray]]:
    """(ending of the file name, RGB image): the sweep from above, and each view with its visible points drawn over it.

    colors: uint8 [N, 3], one for each point.
    """
    if options.pictures:
        yield '.png', bird_eye(frame.cloud.xyz, colors)
    if options.cameras:
        for view in frame.views:
            yield f'_{view.camera.name}.jpg', labelled_view(view, frame.cloud.xyz, colors)


def save_picture(path: Path, image: np.ndarray) -> None:
    """Write RGB uint8 [H, W, 3] as PNG or JPEG by suffix. Raises InputError when it cannot be written."""
    make_parent(path)
    _, data = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    try:
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise InputError(f'cannot write {path}: {error.strerror}; choose another output folder') from error


def make_parent(path: Path) -> None:
    if not path.parent.is_dir():
        make_folder(path.parent)


def summarise(tally: Tally, schema: ClassSchema, model: str) -> dict[str, Any]:
    """Figures of a run, ready for JSON: shares and IoU in percent, times in milliseconds."""
    classes = {schema.names[k]: round(100 * int(tally.per_class[k]) / max(1, tally.points), 2)
               for k in range(1, len(schema.names)) if tally.per_class[k]}
    summary: dict[str, Any] = {
        'model': model, 'sweeps': tally.sweeps, 'points': tally.points, 'unknown': tally.unknown,
        'class_share': classes,
        'stage_ms': {stage: {f'p{q}': round(float(np.percentile(spent, q)), 2) for q in (50, 95)}
                     for stage, spent in tally.stage_ms.items()}}
    if tally.matrix is not None:
        iou = tally.matrix.iou()
        summary['miou'] = round(100 * tally.matrix.miou(), 2)
        summary['per_class_iou'] = {schema.names[k]: round(100 * float(iou[k]), 2)
                                    for k in range(1, len(schema.names)) if np.isfinite(iou[k])}
    return summary


def headline(summary: dict[str, Any]) -> str:
    """Totals in one line."""
    total = summary['stage_ms'].get('total', {'p50': 0.0, 'p95': 0.0})
    line = (f'{summary["sweeps"]} sweeps, {summary["points"]:,} points ({summary["unknown"]:,} unknown), '
            f'{total["p50"]:.1f} ms a sweep (p95 {total["p95"]:.1f})')
    return line + (f', mIoU {summary["miou"]:.1f} %' if 'miou' in summary else '')


def make_table(summary: dict[str, Any]) -> Table:
    """Classes by share, with the IoU where there is truth."""
    table = Table()
    table.add_column('class')
    table.add_column('points %', justify='right')
    iou = summary.get('per_class_iou', {})
    if iou:
        table.add_column('IoU %', justify='right')
    shares = {**dict.fromkeys(iou, 0.0), **summary['class_share']}
    for name, share in sorted(shares.items(), key=lambda item: -item[1]):
        row = [name, f'{share:.2f}']
        table.add_row(*row, *([f'{iou[name]:.1f}' if name in iou else '-'] if iou else []))
    return table


def _compare(tally: Tally, source: InputSource, name: str, labels: PointLabels, schema: ClassSchema) -> None:
    """Count against the truth, if there is any in the model's classes."""
    if source.schema != schema.name:
        return
    raw = source.truth(name)
    if raw is None:
        return
    if len(raw) != len(labels.class_id):
        raise InputError(f'{name}: {len(raw)} labels for {len(labels.class_id)} points; they are of different sweeps')
    if tally.matrix is None:
        tally.matrix = ConfusionMatrix(len(schema.names) - 1)
    tally.matrix.add(labels.class_id, schema.raw_to_train[raw & 0xFFFF])
