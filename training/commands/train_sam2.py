"""``sam2amml train-sam2``: train a nano SAM2 on synthetic pictures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from sam2amml_core.errors import InputError

if TYPE_CHECKING:
    from training.masks.sam2_trainer import Sam2Schedule


def run(data: Path, folder: Path, schedule: Sam2Schedule, threads: int, resume: bool, start_from: Path | None) -> Path:
    """Train by ``schedule``; return the folder of the run. Raises InputError on unusable arguments."""
    os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
    import cv2
    import torch

    from training.masks.pictures import read_picture
    from training.masks.sam2_trainer import CHECKPOINT, Sam2Trainer

    torch.set_num_threads(threads)
    cv2.setNumThreads(1)
    console = Console(stderr=True)
    paths = sorted(data.glob('street_*.npz'))
    if not paths:
        raise InputError(f'{data} holds no pictures; run `sam2amml pictures` first')
    trainer = Sam2Trainer([read_picture(path) for path in paths], schedule, folder)
    last = folder / CHECKPOINT
    if resume:
        trainer.resume(last)
    elif last.exists():
        raise InputError(f'{folder} holds a run already; add --resume to continue it, or choose another --folder')
    elif start_from is not None:
        trainer.resume(start_from, weights_only=True)
    weights = sum(p.numel() for p in trainer.trainee.sam.parameters())
    console.print(f'{len(paths)} pictures, {weights:,} weights, images of {schedule.size} px')

    def show(row: dict[str, float]) -> None:
        console.print(f"step {row['step']:6.0f}  {row['minutes']:6.1f} min  loss {row['loss']:.3f}  "
                      f"IoU {row['iou']:.3f}  class accuracy {row['accuracy']:.3f}", highlight=False)

    trainer.run(on_log=show)
    return folder
