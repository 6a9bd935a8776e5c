"""Commands about data sets: arguments only; each command's work is imported when it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add_data_commands(app: typer.Typer) -> None:
    """Make the commands of this file part of ``app``."""
    for command in (dataset, streetworld):
        app.command()(command)


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


def streetworld(
    root: Annotated[Path, typer.Argument(help='Folder of the benchmark.')] = Path('out/streetworld'),
    train: Annotated[int, typer.Option(min=1, help='Streets to train on.')] = 100,
    val: Annotated[int, typer.Option(min=1, help='Streets to validate on.')] = 12,
    test: Annotated[int, typer.Option(min=1, help='Streets to test on.')] = 24,
    sweeps: Annotated[int, typer.Option(min=1, help='Sweeps in each, two seconds apart.')] = 4,
    cameras: Annotated[int | None, typer.Option(min=0, max=6, help=(
        'Cameras that take images. Default: KITTI 1 ahead, nuScenes 6 all round.'))] = None,
    true_masks: Annotated[bool, typer.Option('--true-masks', help=(
        'Also the exact masks of the images, in true_masks, to compare mask generators with.'))] = False,
    layout: Annotated[str, typer.Option(help="semantic_kitti, or nuscenes: that car's LiDAR and cameras.")
                      ] = 'semantic_kitti',
    processes: Annotated[int, typer.Option(min=1, help='Processes to share the work.')] = 2,
) -> None:
    """Make the synthetic benchmark StreetWorld: train, val and test in a public layout; goes on if stopped."""
    from typing import cast

    from training.commands.streetworld import StreetWorld, run
    from training.world.benchmark import Layout

    run(root, StreetWorld(train, val, test, sweeps, cameras, true_masks, cast(Layout, layout)), processes)
