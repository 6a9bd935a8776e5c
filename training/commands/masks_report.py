"""``sam2amml masks-report``: makers of masks side by side on held-out synthetic views."""

from __future__ import annotations

import json
import os
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from sam2amml_core.errors import EngineError
from sam2amml_core.segmenter import Segmenter
from training.masks.comparison import Result, ablations, compare, contenders
from training.masks.scenes import draw_scenes

MODELS = {'kitti': 'street64', 'nuscenes': 'street32'}


def run(rig: str, worlds: int, split: str, model: str, checkpoint: Path | None, threads: int, ablate: bool,
        automatic: bool, output: Path | None) -> list[Result]:
    """Print the table, write it to ``output`` (JSON, and Markdown beside it), and return it.

    Raises InputError for unknown names or files that cannot be used; without SAM2 its rows are left out.
    """
    os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
    console = Console(stderr=True)
    sam = None
    try:
        import cv2
        import torch

        from sam2amml_core.masks.sam2_model import load

        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)
        sam = load(model, checkpoint)
    except (ImportError, EngineError) as error:
        console.print(f'without SAM2: {error}', markup=False)
    entries = contenders(sam, automatic)
    if ablate and sam is not None:
        entries += ablations(sam)
    segmenter = Segmenter.open(MODELS.get(rig, 'street64'), threads=threads)
    with Progress(console=console) as progress:
        task = progress.add_task('views', total=worlds * (1 + len(entries)))
        scenes = []
        for scene in draw_scenes(rig, worlds, split):
            scenes.append(scene)
            progress.advance(task)
        results = compare(scenes, entries, lambda scene: segmenter.segment(scene.frame), lambda: progress.advance(task))
    rows = [result.row() for result in results]
    table = Table(title=f'{worlds} {split} views of {rig}')
    for name in rows[0]:
        table.add_column(name, justify='left' if name == 'masks from' else 'right')
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console().print(table)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(rows, indent=1) + '\n')
        confirmed = markdown([result.confirmed() for result in results if 'given' not in result.name])
        output.with_suffix('.md').write_text(f'{markdown(rows)}\n{confirmed}')
    return results


def markdown(rows: list[dict[str, float | str]]) -> str:
    """The rows as a Markdown table."""
    head = '| ' + ' | '.join(rows[0]) + ' |\n| --- |' + ' ---: |' * (len(rows[0]) - 1) + '\n'
    return head + ''.join('| ' + ' | '.join(str(value) for value in row.values()) + ' |\n' for row in rows)


