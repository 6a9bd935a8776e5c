"""``sam2amml predict``: submission files for a split, checked as the benchmark will."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from sam2amml_core.labels import NUSCENES
from training.commands.dataset import layout_named
from training.datasets.open import open_split
from training.datasets.scans import ScanSet
from training.predictor import Predictor, open_predictor
from training.scoring import nuscenes_submission, semantic_kitti_submission


def run(model: str, data_root: Path, split: str, layout: str, output: Path, engine: str, threads: int, votes: bool,
        uses: tuple[str, ...]) -> int:
    """Label every sweep of ``split``; write ``output``: a zip (SemanticKITTI, your own) or a folder (nuScenes).

    Returns the number of sweeps. Raises InputError when the result would not be taken.
    """
    data = open_split(data_root, split, layout_named(layout))
    predictor = open_predictor(model, data.schema, engine, threads, votes)
    console = Console(stderr=True)
    if data.schema.name == NUSCENES.name:
        nuscenes_submission.write_submission(output, split, _predictions(predictor, data, console), uses)
        count = nuscenes_submission.check_submission(output, split, data)
    else:
        semantic_kitti_submission.write_submission(output, _predictions(predictor, data, console), data.schema)
        count = semantic_kitti_submission.check_submission(output, data)
    console.print(f'{output}: {count} sweeps, checked' + (', 4 mirrorings voted' if votes else ''), highlight=False)
    return count


def _predictions(predictor: Predictor, data: ScanSet, console: Console) -> Iterator[tuple[str, np.ndarray]]:
    for index in track(range(len(data)), 'predicting', console=console, transient=True):
        yield data.scans[index].name, predictor(data.cloud(index))
