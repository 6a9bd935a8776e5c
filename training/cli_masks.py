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
    app.command()(masks)
    app.command('export-sam2')(export_sam2)
    app.command('export-encoder')(export_encoder)
    app.command('masks-report')(masks_report)
    app.command('masks-reality')(masks_reality)
    app.command('masks-supervision')(masks_supervision)


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


def masks(
    input_path: Annotated[Path, typer.Argument(metavar='INPUT', help=(
        'Whatever segment takes, with images; with --split the root of a data set.'))],
    output: Annotated[Path, typer.Argument(help='Folder for CAMERA/NAME.masks.')] = Path('out/masks'),
    split: Annotated[str, typer.Option(help='Of a data set: train, 00,01 and so on.')] = '',
    generator: Annotated[str, typer.Option(help='lidar, outlines, automatic, slic or felzenszwalb.')] = 'lidar',
    classes: Annotated[str, typer.Option(help='Proposals from none (geometry), predicted or given.')] = 'none',
    model: Annotated[str, typer.Option(help='A shipped SAM2, or a SAM2 configuration.')] = 'sam2_nano',
    checkpoint: Annotated[Path | None, typer.Option(help='Weights, for a configuration.')] = None,
    device: Annotated[str, typer.Option(help='cpu or cuda.')] = 'cpu',
    encoder: Annotated[Path | None, typer.Option(help='ONNX file by export-encoder, to encode images with.')] = None,
    without: Annotated[list[str] | None, typer.Option(help='Switch off a strategy; may be repeated.')] = None,
    shard: Annotated[int, typer.Option(min=0, help='Do only sweeps SHARD, SHARD + SHARDS, ...')] = 0,
    shards: Annotated[int, typer.Option(min=1, help='How many shares the work is cut into.')] = 1,
    workers: Annotated[int, typer.Option(min=1, help='Processes.')] = 1,
    ray: Annotated[str | None, typer.Option(help='Address of a Ray cluster, or local.')] = None,
    threads: Annotated[int, typer.Option(min=1, help='CPU threads of each worker.')] = 1,
) -> None:
    """Make masks for every image of a recording; can be stopped and started again."""
    from sam2amml_core.masks.makers import MakerSpec, checkpoint_path
    from training.commands.masks import run
    from training.masks.precompute import MaskJob

    spec = MakerSpec(generator, classes, model, checkpoint_path(checkpoint), device, tuple(without or ()),
                     checkpoint_path(encoder))
    run(MaskJob(str(input_path.resolve()), str(output.resolve()), spec, shard, shards, threads, split),
        workers, ray)


def export_sam2(
    folder: Annotated[Path, typer.Argument(help='Folder to write.')],
    checkpoint: Annotated[Path, typer.Option(help='Of a run.')] = Path('out/runs/sam2_nano/last.pt'),
    command: Annotated[str, typer.Option(help='How it was trained, for the record.')] = 'sam2amml train-sam2',
    seed: Annotated[int, typer.Option(help='Seed it was trained with, for the record.')] = 0,
    report: Annotated[Path | None, typer.Option(help='JSON of masks-report, for the record.')] = None,
) -> None:
    """Turn a run of train-sam2 into a folder that `masks --model` takes."""
    from training.commands.export_sam2 import run

    run(folder, checkpoint, command, seed, report)


def masks_report(
    rig: Annotated[str, typer.Option(help='kitti or nuscenes.')] = 'kitti',
    worlds: Annotated[int, typer.Option(min=1, help='Streets; one view of each.')] = 12,
    split: Annotated[str, typer.Option(help='train, validation or test.')] = 'test',
    model: Annotated[str, typer.Option(help='A shipped SAM2, or a SAM2 configuration.')] = 'sam2_nano',
    checkpoint: Annotated[Path | None, typer.Option(help='Weights, for a configuration.')] = None,
    threads: Threads = 2,
    ablate: Annotated[bool, typer.Option(help='Also with each strategy switched off.')] = True,
    automatic: Annotated[bool, typer.Option(help="Also SAM2's automatic generator (slow).")] = True,
    output: Annotated[Path | None, typer.Option(help='JSON file for the table; Markdown beside it.')] = None,
) -> None:
    """Compare ways to make masks: recall of objects, purity of points, prompts, time."""
    from training.commands.masks_report import run

    run(rig, worlds, split, model, checkpoint, threads, ablate, automatic, output)


def masks_reality(
    data: Annotated[Path, typer.Argument(help='Folder of the real frames.')] = Path('../shared/data'),
    model: Annotated[str, typer.Option(help='A shipped SAM2, or a SAM2 configuration.')] = 'sam2_nano',
    checkpoint: Annotated[Path | None, typer.Option(help='Weights, for a configuration.')] = None,
    threads: Threads = 2,
    output: Annotated[Path, typer.Option(help='Folder for pictures and the table.')] = Path('out/masks_reality'),
) -> None:
    """Masks of real frames: pictures, and how well they keep the points of annotated boxes together."""
    from training.commands.masks_reality import run

    run(data, model, checkpoint, threads, output)


def export_encoder(
    path: Annotated[Path, typer.Argument(help='ONNX file to write.')],
    model: Annotated[str, typer.Option(help='A shipped SAM2, or a SAM2 configuration.')] = 'sam2_nano',
    checkpoint: Annotated[Path | None, typer.Option(help='Weights, for a configuration.')] = None,
) -> None:
    """Write the image encoder of a SAM2 as ONNX, for `masks --encoder`."""
    from training.commands.export_encoder import run

    run(path, model, checkpoint)


def masks_supervision(
    data: Annotated[Path, typer.Argument(help='Root of a labelled data set.')],
    folders: Annotated[list[Path], typer.Argument(metavar='MASKS...', help='Folders that sam2amml masks wrote.')],
    split: Annotated[str, typer.Option(help='Of the data set.')] = 'train',
    recipe: Annotated[str, typer.Option(help='Recipe whose LiDAR it is.')] = 'streetworld',
    limit: Annotated[int, typer.Option(min=1, help='Sweeps to look at, evenly spread.')] = 40,
    shuffled: Annotated[bool, typer.Option('--shuffled', help='Also with masks of other sweeps, the control.')] = False,
) -> None:
    """Count what stored masks could teach: points they cover, how pure they are, what the loss would use of them."""
    from training.commands.masks_supervision import run

    run(data, folders, split, recipe, limit, shuffled)
