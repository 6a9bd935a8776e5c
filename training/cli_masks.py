"""Commands about masks of images: arguments only; each command's work is imported when it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Threads = Annotated[int, typer.Option(min=1, help='CPU threads.')]


def add_mask_commands(app: typer.Typer) -> None:
    """Make the commands of this file part of ``app``."""
    app.command()(pictures)
    app.command('train-sam2')(train_sam2)


def pictures(
    split: Annotated[str, typer.Option(help='train, validation or test.')] = 'train',
    streets: Annotated[int, typer.Option(min=1, help='Streets to drive through.')] = 70,
    per_street: Annotated[int, typer.Option(min=1, help='Pictures of each.')] = 12,
    first: Annotated[int, typer.Option(min=0, help='Number of the first street in its split.')] = 0,
    folder: Annotated[Path | None, typer.Option(help='Default: out/pictures/SPLIT.')] = None,
) -> None:
    """Make pictures of synthetic streets with exact masks, to train a SAM2 on."""
    from training.commands.pictures import run

    run(split, streets, per_street, first, folder)


def train_sam2(
    data: Annotated[Path, typer.Option(help='Folder of pictures.')] = Path('out/pictures/train'),
    folder: Annotated[Path, typer.Option(help='Folder of the run.')] = Path('out/runs/sam2_nano'),
    size: Annotated[int, typer.Option(help='Side of the images in pixels.')] = 128,
    images: Annotated[int, typer.Option(min=1, help='Images of a step.')] = 8,
    prompts: Annotated[int, typer.Option(min=1, help='Prompts for each image.')] = 8,
    steps: Annotated[int, typer.Option(min=1, help='Most steps.')] = 8000,
    minutes: Annotated[float, typer.Option(help='Longest time.')] = 60.0,
    rate: Annotated[float, typer.Option(help='Highest learning rate.')] = 1e-3,
    seed: Annotated[int, typer.Option(help='Seed of the random numbers.')] = 0,
    threads: Threads = 2,
    resume: Annotated[bool, typer.Option('--resume', help='Go on with the run in the folder.')] = False,
    start_from: Annotated[Path | None, typer.Option(help='Checkpoint to begin with, of any size.')] = None,
) -> None:
    """Train a nano SAM2 on pictures: prompts by points, boxes and areas."""
    from training.commands.train_sam2 import run
    from training.masks.sam2_trainer import Sam2Schedule

    run(data, folder, Sam2Schedule(size, images, prompts, steps, minutes, rate, seed), threads, resume, start_from)
