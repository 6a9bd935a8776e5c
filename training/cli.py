"""The command ``sam2amml``: arguments only; each command's work is imported when it is called."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.logging import RichHandler

from sam2amml_core.errors import Sam2AmmlError, missing_package
from training.cli_data import add_data_commands
from training.cli_engines import add_engine_commands
from training.cli_masks import add_mask_commands
from training.cli_training import add_training_commands

app = typer.Typer(name='sam2amml', no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
                  help='Label every LiDAR point of a moving vehicle, and train the networks that do it.')

Threads = Annotated[int, typer.Option(min=1, help='CPU threads.')]
Engine = Annotated[str, typer.Option(help='auto, or the name of an inference engine.')]


@app.callback()
def common(verbose: Annotated[bool, typer.Option('--verbose', '-v', help='Log what is done.')] = False) -> None:
    """Options of every command."""
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, format='%(message)s', force=True,
                        handlers=[RichHandler(console=Console(stderr=True), show_path=False, show_time=False)])


@app.command()
def segment(
    input_path: Annotated[Path, typer.Argument(metavar='INPUT', help=(
        'A .bin file or a folder of them, a KITTI or SemanticKITTI folder, a nuScenes sample or root, a ROS 2 bag.'))],
    output: Annotated[Path, typer.Option(help='Folder for labels and pictures.')] = Path('out/segment'),
    model: Annotated[str, typer.Option(help='A shipped model, a bundle folder, or auto: by the LiDAR.')] = 'auto',
    engine: Engine = 'auto',
    threads: Threads = 2,
    pictures: Annotated[bool, typer.Option(help="Draw a bird's-eye picture of each sweep.")] = True,
    cameras: Annotated[bool, typer.Option(help='Draw the labels over the camera images.')] = True,
    limit: Annotated[int | None, typer.Option(min=1, help='Stop after so many sweeps.')] = None,
) -> None:
    """Label the sweeps of a recording: .label files of raw ids, pictures, a table; mIoU where there is truth."""
    from sam2amml_core.commands.segment import SegmentOptions, run

    run(input_path, output, model, engine, threads, SegmentOptions(pictures, cameras, limit))


@app.command('sweeps')
def make_sweeps(
    model: Annotated[str, typer.Option(help='Model whose LiDAR is simulated.')] = 'street64',
    split: Annotated[str, typer.Option(help='train, validation or test.')] = 'train',
    worlds: Annotated[int, typer.Option(min=1, help='Streets to build.')] = 10,
    sweeps_each: Annotated[int, typer.Option('--sweeps', min=1, help='Sweeps in each.')] = 3,
    first: Annotated[int, typer.Option(min=0, help='Number of the first street.')] = 0,
    folder: Annotated[Path | None, typer.Option(help='Default: out/sweeps/MODEL/SPLIT.')] = None,
) -> None:
    """Ray-cast labelled sweeps of the synthetic world for training."""
    from training.commands.sweeps import run

    run(model, split, worlds, sweeps_each, first, folder)


@app.command()
def bag(
    input_path: Annotated[Path, typer.Argument(metavar='INPUT', help='Whatever segment takes.')],
    output: Annotated[Path, typer.Argument(help='Folder of the bag to write.')],
    images: Annotated[str, typer.Option(help='raw, compressed, both or none.')] = 'raw',
) -> None:
    """Turn a recording into a ROS 2 bag (mcap)."""
    from sam2amml_core.commands.bag import run

    run(input_path, output, images)


@app.command()
def world(
    output: Annotated[Path, typer.Argument(help='Root of the data set.')],
    layout: Annotated[str, typer.Option(help='semantic_kitti (64 beams, 10 Hz) or nuscenes (32 beams, 20 Hz).')] = (
        'semantic_kitti'),
    split: Annotated[str, typer.Option(help='train, validation or test.')] = 'train',
    first: Annotated[int, typer.Option(min=0, help='Number of the first street in its split.')] = 0,
    sequences: Annotated[int, typer.Option(min=1, help='Streets to drive through.')] = 1,
    sweeps: Annotated[int, typer.Option(min=1, help='Sweeps in each.')] = 100,
    cameras: Annotated[int | None, typer.Option(min=0, help='How many cameras; default: all (2 or 6).')] = None,
    images_every: Annotated[int | None, typer.Option(min=1, help=(
        'Sweeps per image; default: 1, or 10 (key frames only) for nuscenes.'))] = None,
    version: Annotated[str, typer.Option(help='Name of the nuScenes tables.')] = 'v1.0-synthetic',
    processes: Annotated[int, typer.Option(min=1, help='Processes to share the work.')] = 2,
    force: Annotated[bool, typer.Option('--force', help='Replace sequences that are there.')] = False,
) -> None:
    """Write drives through synthetic streets in the layout of SemanticKITTI or nuScenes, with exact labels."""
    from training.commands.world import WorldData, run

    run(output, WorldData(layout, split, first, sequences, sweeps, cameras, images_every, version), processes, force)


@app.command()
def world_bag(
    output: Annotated[Path, typer.Argument(help='Folder for the bag and the truth.')] = Path('out/street'),
    rig: Annotated[str, typer.Option(help='kitti or nuscenes.')] = 'kitti',
    split: Annotated[str, typer.Option(help='train, validation or test.')] = 'test',
    number: Annotated[int, typer.Option(min=0, help='Number of the street in its split.')] = 0,
    sweeps: Annotated[int, typer.Option(min=1, help='Sweeps to record.')] = 100,
    cameras: Annotated[int, typer.Option(min=0, help="How many of the rig's cameras.")] = 2,
    images: Annotated[str, typer.Option(help='raw, compressed, both or none.')] = 'raw',
    processes: Annotated[int, typer.Option(min=1, help='Processes to share the work.')] = 2,
    force: Annotated[bool, typer.Option('--force', help='Make it again even if it is there.')] = False,
) -> None:
    """Drive through a synthetic street and record a ROS 2 bag, with true labels beside it."""
    from training.commands.world_bag import Drive, run

    run(output, Drive(rig, split, number, sweeps, cameras, images), processes, force)


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help='Folder of the bundle to write.')],
    model: Annotated[str, typer.Option(help='Model that was trained.')] = 'street64',
    checkpoint: Annotated[Path | None, typer.Option(help='Default: that of the run out/runs/MODEL.')] = None,
    seed: Annotated[int, typer.Option(help='Seed it was trained with, for the record.')] = 0,
    data: Annotated[str, typer.Option(help='What it was trained on, for the record.')] = 'synthetic street world',
    validation: Annotated[Path | None, typer.Option(help='Cached sweeps to balance the classes on.')] = None,
    weights: Annotated[bool, typer.Option('--weights', help='Add torch weights, for the torch engine.')] = False,
) -> None:
    """Turn a training run into a model bundle."""
    from training.commands.export import run

    run(model, checkpoint, folder, 'sam2amml ' + ' '.join(sys.argv[1:]), seed, data, validation=validation,
        with_weights=weights)


@app.command()
def reality(
    data: Annotated[Path, typer.Argument(help='Folder of the real frames.')] = Path('../shared/data'),
    bundle64: Annotated[str | None, typer.Option(help='Model for 64 beams.')] = 'street64',
    bundle32: Annotated[str | None, typer.Option(help='Model for 32 beams.')] = 'street32',
    engine: Engine = 'auto',
    threads: Threads = 2,
    output: Annotated[Path, typer.Option(help='JSON file for the result.')] = Path('out/reality.json'),
) -> None:
    """How the models do on real sweeps they never saw."""
    from training.commands.reality import run

    run(bundle64, bundle32, data, engine, threads, output)


@app.command()
def realism(
    data: Annotated[Path, typer.Argument(help='Folder of the real frames.')] = Path('../shared/data'),
    worlds: Annotated[int, typer.Option(min=1, help='Streets of each split.')] = 12,
    output: Annotated[Path, typer.Option(help='Folder for realism.json and the contact sheets.')] = Path('out'),
    markdown: Annotated[Path | None, typer.Option(help='Markdown file to put the tables into.')] = None,
    processes: Annotated[int, typer.Option(min=1, help='Processes to share the work.')] = 2,
) -> None:
    """How like real recordings the synthetic world is: statistics and contact sheets."""
    from training.commands.realism import run

    run(data, worlds, output, markdown, processes)


add_data_commands(app)
add_engine_commands(app)
add_mask_commands(app)
add_training_commands(app)


def main() -> None:
    """Entry point: errors a user can act on end in one red line and exit code 2."""
    try:
        app()
    except Sam2AmmlError as error:
        _give_up(error)
    except ModuleNotFoundError as error:
        missing = missing_package(error)
        if missing is None:
            raise
        _give_up(missing)


def _give_up(error: Sam2AmmlError) -> NoReturn:
    Console(stderr=True).print(f'error: {error}', style='bold red', markup=False, highlight=False, soft_wrap=True)
    sys.exit(2)


if __name__ == '__main__':
    main()
