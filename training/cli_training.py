"""Commands that train and score: arguments only; each command's work is imported when it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from training.experiments.amml import Method
from training.threads import sleep_when_idle

METHOD = Method()

Threads = Annotated[int, typer.Option(min=1, help='CPU threads.')]
Engine = Annotated[str, typer.Option(help='Inference engine of a bundle: auto, or its name.')]
Layout = Annotated[str, typer.Option(help='auto, semantic_kitti, nuscenes, own or cached.')]
Votes = Annotated[bool, typer.Option('--votes', help=(
    'Test-time augmentation: sum the probabilities of four mirrorings. Results say so.'))]
Model = Annotated[str, typer.Argument(help='A shipped model, a bundle folder, the folder of a run, or a .ckpt file.')]


def add_training_commands(app: typer.Typer) -> None:
    """Make the commands of this file part of ``app``."""
    for command in (train, evaluate, predict, results, amml, throughput):
        app.command()(command)


def train(
    recipe: Annotated[str, typer.Argument(help=(
        'A shipped recipe (street64, street32, streetworld, streetworld_surround, semantic_kitti, nuscenes) or a YAML '
        'file.'))] = 'street64',
    changes: Annotated[list[str] | None, typer.Option('--set', help=(
        'Change an entry: data.root=..., loop.seed=1, data.fraction=0.01; may be repeated.'))] = None,
    folder: Annotated[Path | None, typer.Option(help='Default: out/runs/NAME.')] = None,
    resume: Annotated[bool, typer.Option('--resume', help='Go on with the run in the folder, exactly.')] = False,
    threads: Threads = 2,
    accelerator: Annotated[str, typer.Option(help='auto, cpu or gpu.')] = 'auto',
    devices: Annotated[str, typer.Option(help='Processes or GPUs on this machine: a number, or auto.')] = '1',
    nodes: Annotated[int, typer.Option(min=1, help='Machines; start the same command on each with torchrun.')] = 1,
    strategy: Annotated[str, typer.Option(help='auto, ddp, ddp_fork, ... as Lightning calls them.')] = 'auto',
) -> None:
    """Train a network as a recipe says; log.csv, TensorBoard, checkpoints and run.json in the folder of the run."""
    sleep_when_idle()
    from training.commands.train import run

    run(recipe, tuple(changes or ()), folder, resume, threads, accelerator, devices, nodes, strategy)


def evaluate(
    model: Model = 'street64',
    data: Annotated[Path | None, typer.Option(help=(
        'Root of a data set. Default: that of the run; of a bundle, synthetic streets made now.'))] = None,
    layout: Layout = 'auto',
    split: Annotated[str, typer.Option(help='A split of the data; of streets: train, validation or test.')] = 'test',
    recipe: Annotated[str, typer.Option('--model', help='Recipe whose LiDAR is simulated for streets.')] = 'street64',
    worlds: Annotated[int, typer.Option(min=1, help='Streets, if some are made.')] = 8,
    limit: Annotated[int | None, typer.Option(min=1, help='At most so many sweeps, evenly spread.')] = None,
    votes: Votes = False,
    engine: Engine = 'auto',
    threads: Threads = 2,
    output: Annotated[Path | None, typer.Option(help='JSON file; default for a run: scores_SPLIT.json in it.')] = None,
    picture: Annotated[Path | None, typer.Option(help='PNG of the confusion matrix.')] = None,
) -> None:
    """Score a model as the benchmark of the data does: mIoU, by class, by distance, in and out of the camera view."""
    from training.commands.evaluate import EvaluateOptions, run

    run(model, EvaluateOptions(data, layout, split, recipe, worlds, limit, votes), engine, threads, output, picture)


def predict(
    model: Model,
    data: Annotated[Path, typer.Argument(help='Root of the data set.')],
    output: Annotated[Path, typer.Argument(help='A .zip (SemanticKITTI and your own), or a folder (nuScenes).')],
    split: Annotated[str, typer.Option(help='Which split to label.')] = 'test',
    layout: Layout = 'auto',
    votes: Votes = False,
    uses: Annotated[str, typer.Option(help='nuScenes: what is used at test time, joined by commas.')] = 'use_lidar',
    engine: Engine = 'auto',
    threads: Threads = 2,
) -> None:
    """Write the submission files of a split and check them as the benchmark will."""
    from training.commands.predict import run

    run(model, data, split, layout, output, engine, threads, votes, tuple(uses.split(',')))


def results(
    runs: Annotated[Path | None, typer.Argument(help='Folder that holds the folders of runs.')] = Path('out/runs'),
    models: Annotated[list[Path] | None, typer.Option('--model-scores', help=(
        'JSON of sam2amml evaluate MODEL --output; may be repeated.'))] = None,
    split: Annotated[str, typer.Option(help='Split whose scores are taken.')] = 'test',
    output: Annotated[Path, typer.Option(help='The page; .json is written beside it.')] = Path('docs/results.md'),
    note: Annotated[Path | None, typer.Option(help='A Markdown file for the top of the page.')] = None,
    keep: Annotated[bool, typer.Option('--keep', help='Keep what the page holds of other runs.')] = False,
) -> None:
    """Write the page of results: per experiment mean and spread over seeds, hardware, wall time, commands."""
    from training.commands.results import run

    run(runs, models or [], split, output, note, keep)


def amml(
    backbones: Annotated[list[str] | None, typer.Option('--backbone', help='May be repeated, as the next three. '
                                                        'Default: frustum_range_net, minkunet18_small.')] = None,
    labels: Annotated[list[float] | None, typer.Option(help='Share of labelled sweeps. Default: 0.01, 0.1, 1.')] = None,
    variants: Annotated[list[str] | None, typer.Option('--variant', help=(
        'baseline, sam2, superpixels, shuffled, true-boundary. Default: all.'))] = None,
    seeds: Annotated[list[int] | None, typer.Option('--seed', help='Default: 0, 1, 2.')] = None,
    recipe: Annotated[str, typer.Option(help='streetworld, or streetworld_surround.')] = 'streetworld',
    data: Annotated[Path | None, typer.Option(help=(
        'What sam2amml streetworld made, masks in it. Default: as in the recipe.'))] = None,
    runs: Annotated[Path, typer.Option(help='Folder for the folders of runs.')] = Path('out/runs'),
    steps: Annotated[int, typer.Option(min=1, help='Steps of every run.')] = 400,
    consistency: Annotated[float, typer.Option(min=0, help='Weight of the loss.')] = METHOD.consistency,
    vote: Annotated[float, typer.Option(min=0, help='Weight of the vote of labelled masks.')] = METHOD.vote,
    teacher: Annotated[str, typer.Option(help='itself, or average.')] = METHOD.teacher,
    divergence: Annotated[str, typer.Option(help='As in a recipe.')] = METHOD.divergence,
    unlabelled: Annotated[int, typer.Option(min=0, help='Sweeps without labels per step.')] = METHOD.unlabelled,
    start: Annotated[float, typer.Option(min=0, max=1, help='Share of a run without masks.')] = METHOD.start,
    agreement: Annotated[float, typer.Option(min=0, max=1, help=(
        'How sure masks without labels must be of what they teach.'))] = METHOD.agreement,
    class_power: Annotated[float, typer.Option(min=0, max=1, help=(
        'Masks weigh by the frequency of their class ** -POWER.'))] = METHOD.class_power,
    threads: Threads = 1,
    listed: Annotated[bool, typer.Option('--list', help='Print the commands of what is missing.')] = False,
) -> None:
    """Train and score cells of the experiment on SAM2-AMML that are missing; sam2amml results makes the table."""
    sleep_when_idle()
    from training.commands.amml import run
    from training.experiments.amml import BACKBONES, LABELS, SEEDS, VARIANTS, cells

    chosen = cells(recipe, backbones or BACKBONES, labels or LABELS, variants or VARIANTS, seeds or SEEDS)
    method = Method(consistency, vote, teacher, divergence, unlabelled, start, agreement, class_power)
    run(chosen, data, runs, steps, method, threads, listed)


def throughput(
    recipe: Annotated[str, typer.Argument(help='A recipe, as for train.')] = 'streetworld',
    changes: Annotated[list[str] | None, typer.Option('--set', help='As for train.')] = None,
    seconds: Annotated[float, typer.Option(min=0.1, help='How long each of both is measured.')] = 20.0,
    threads: Threads = 1,
    output: Annotated[Path | None, typer.Option(help='JSON file for the result.')] = None,
) -> None:
    """Measure how many sweeps a second the loader alone gives, and the training step alone takes."""
    sleep_when_idle()
    from training.commands.throughput import run

    run(recipe, tuple(changes or ()), seconds, threads, output)
