"""Commands about engines: arguments only; each command's work is imported when it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add_engine_commands(app: typer.Typer) -> None:
    """Make the commands of this file part of ``app``."""
    app.command()(bench)


def bench(
    model: Annotated[str, typer.Argument(help='A shipped model or a bundle folder.')] = 'street64',
    input_path: Annotated[Path | None, typer.Option('--input', help=(
        'A recording, as segment takes it; default: a made-up sweep.'))] = None,
    engine: Annotated[str, typer.Option(help='auto, or the name of an inference engine.')] = 'auto',
    threads: Annotated[int, typer.Option(min=1, help='CPU threads.')] = 2,
    sweeps: Annotated[int, typer.Option(min=1, help='Sweeps to time.')] = 100,
    output: Annotated[Path | None, typer.Option(help='JSON file for the result.')] = None,
    build_only: Annotated[bool, typer.Option('--build-only', help='Build the TensorRT plan and stop.')] = False,
) -> None:
    """How long decode, preprocess, inference and postprocess take here: p50, p95 and p99."""
    from sam2amml_core.commands.bench import run

    run(model, input_path, engine, threads, sweeps, output, build_only)
