"""``sam2amml evaluate``: mIoU of a bundle on held-out synthetic worlds."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from sam2amml_core.errors import InputError
from sam2amml_core.segmenter import Segmenter
from training.commands import sweeps as sweeps_command
from training.evaluation import evaluate
from training.sweep_cache import CachedSweeps


def run(bundle: str, model: str, split: str, worlds: int, data: Path | None, engine: str, threads: int,
        output: Path | None) -> dict:
    """Score ``bundle`` on ``worlds`` worlds of ``split`` (generated if they are not cached), print a table, return
    ``{bundle, split, sweeps, miou, per_class}`` in percent and write it to ``output`` if given.
    """
    segmenter = Segmenter.open(bundle, engine, threads)
    if segmenter.bundle.spec.schema_name not in ('semantic_kitti', 'nuscenes'):
        raise InputError(f'bundle {bundle} speaks classes the synthetic world does not know')
    folder = data or sweeps_command.run(model, split, worlds, 3, 0, None)
    cached = CachedSweeps(folder, segmenter.bundle.spec.schema_name)
    matrix = evaluate(segmenter, cached)
    per_class = matrix.per_class(segmenter.bundle.schema.names)
    result = {'bundle': segmenter.bundle.name, 'split': split, 'sweeps': len(cached),
              'miou': round(100 * matrix.miou(), 2), 'accuracy': round(100 * matrix.accuracy(), 2),
              'per_class': per_class}
    table = Table(title=f"{result['bundle']} on {len(cached)} {split} sweeps: mIoU {result['miou']:.1f} %")
    table.add_column('class')
    table.add_column('IoU %', justify='right')
    for name, value in per_class.items():
        table.add_row(name, f'{value:.1f}')
    Console().print(table)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(result, indent=2), encoding='utf-8')
    return result
