"""``sam2amml reality``: how the shipped models do on real sweeps they never saw."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from sam2amml_core.segmenter import Segmenter
from training.reality import scores


def run(bundle64: str | None, bundle32: str | None, data: Path, engine: str, threads: int, output: Path) -> list[dict]:
    """Score a 64-beam and a 32-beam bundle (either may be None) on the real frames in ``data``; print a table, write
    JSON to ``output`` and return its content.
    """
    beams64 = Segmenter.open(bundle64, engine, threads) if bundle64 else None
    beams32 = Segmenter.open(bundle32, engine, threads) if bundle32 else None
    table = Table(title='Real sweeps, never seen in training')
    for heading in ('data', 'measure', '%', 'points', 'per class, or labels inside the boxes'):
        table.add_column(heading, justify='right' if heading in ('%', 'points') else 'left')
    results = []
    for score in scores(data, beams64, beams32):
        detail = ', '.join(f'{name} {value:.0f}' for name, value in score.per_class.items())
        table.add_row(score.name, score.measure, f'{score.value:.1f}', f'{score.points:,}', detail)
        results.append(asdict(score))
    Console().print(table)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(results, indent=2), encoding='utf-8')
    return results
