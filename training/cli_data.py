"""Commands about data sets: arguments only; each command's work is imported when it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add_data_commands(app: typer.Typer) -> None:
    """Make the commands of this file part of ``app``."""
    app.command()(dataset)


def dataset(
    root: Annotated[Path, typer.Argument(help=(
        'Root of SemanticKITTI, nuScenes, a data set of your own with dataset.yaml, or cached sweeps.'))],
    split: Annotated[str, typer.Option(help=(
        'Splits joined by + (train+val); also all, or sequences or scenes by name (00,01).'))] = 'all',
    layout: Annotated[str, typer.Option(help='auto, semantic_kitti, nuscenes, own or cached.')] = 'auto',
    limit: Annotated[int | None, typer.Option(min=1, help='Look at so many scans of each split; default: all.')] = None,
) -> None:
    """Check a data set: every file there, labels that fit and are known, shares of the classes."""
    from training.commands.dataset import run

    run(root, tuple(split.split('+')), layout, limit)
