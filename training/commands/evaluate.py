"""``sam2amml evaluate``: scores of a bundle or a run, as the benchmark of the data computes them."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from training.commands import sweeps as sweeps_command
from training.commands.export import current_commit
from training.datasets.open import open_split
from training.datasets.scans import ScanSet
from training.evaluation import score_split
from training.predictor import RunPredictor, open_predictor
from training.recipe_files import find_recipe
from training.scoring.picture import write_confusion_picture


@dataclass(frozen=True)
class EvaluateOptions:
    """What to score on. Without ``data``: the data of the run, or ``worlds`` synthetic streets for LiDAR ``recipe``."""

    data: Path | None = None
    layout: str = 'auto'
    split: str = 'test'
    recipe: str = 'street64'
    worlds: int = 8
    limit: int | None = None
    votes: bool = False


def run(model: str, options: EvaluateOptions, engine: str, threads: int, output: Path | None,
        picture: Path | None) -> dict[str, Any]:
    """Score, print a table, return the summary; write it to ``output`` (a run: into its folder) and ``picture``."""
    data, where = _open(model, options)
    predictor = open_predictor(model, data.schema, engine, threads, options.votes)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(options.split, total=min(options.limit or len(data), len(data)))
        for board in score_split(predictor, data, options.limit):  # noqa: B007
            progress.advance(task)
    result = {'model': predictor.name, 'split': options.split, 'data': where,
              'test_time_augmentation': '4 mirrorings' if options.votes else None, **board.summary(),
              'commit': current_commit(), 'command': 'sam2amml ' + ' '.join(sys.argv[1:])}
    Console().print(_table(result))
    home = Path(model) if Path(model).is_dir() else Path(model).parent
    if output is None and isinstance(predictor, RunPredictor):
        mark = '_votes' if options.votes else ''
        output = home / f'scores_{options.split}{mark}.json'
        picture = picture or home / f'confusion_{options.split}{mark}.png'
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(result, indent=1), encoding='utf-8')
    if picture is not None:
        write_confusion_picture(picture, board.whole, data.schema.names)
    return result


def _open(model: str, options: EvaluateOptions) -> tuple[ScanSet, str]:
    from training.commands.dataset import layout_named

    layout, root, schema = layout_named(options.layout), options.data, 'semantic_kitti'
    recipe_file = (Path(model) if Path(model).is_dir() else Path(model).parent) / 'recipe.yaml'
    if root is None and recipe_file.is_file():
        settings = find_recipe(recipe_file).data
        root, layout, schema = Path(settings.root), settings.layout, settings.schema_name
    if root is None:
        root, layout = sweeps_command.run(options.recipe, options.split, options.worlds, 3, 0, None).parent, 'cached'
    return open_split(root, options.split, layout, schema), root.name


def _table(result: dict[str, Any]) -> Table:
    how = ', 4 mirrorings voted' if result['test_time_augmentation'] else ''
    table = Table(title=f"{result['model']} on {result['sweeps']} sweeps of {result['data']} {result['split']}: "
                        f"mIoU {result['miou']:.2f} %{how}")
    table.add_column('class or part')
    table.add_column('IoU %', justify='right')
    for name, value in result['per_class'].items():
        table.add_row(name, f'{value:.1f}')
    table.add_section()
    parts = {**result['miou_by_distance'], 'inside the camera view': result['miou_in_frustum'],
             'outside the camera view': result['miou_out_of_frustum']}
    for name, value in parts.items():
        table.add_row(name, '-' if value is None else f'{value:.1f}')
    return table
