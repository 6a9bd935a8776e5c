"""Checkpoints of runs as networks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sam2amml_core.errors import InputError
from sam2amml_core.labels import ClassSchema, is_known, own_schema, schema
from sam2amml_core.lidar.backbones.backbone import Backbone
from sam2amml_core.lidar.backbones.catalogue import create
from training.loop import STATE
from training.loop_files import LAST
from training.recipe import Recipe
from training.recipe_files import recipe_from

PREFIX = 'network.'


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a checkpoint holds.

    network       in evaluation mode, with the averaged weights if the run kept such
    class_weight  float [C], the cross-entropy's, or None
    """

    path: Path
    recipe: Recipe
    network: Backbone
    step: int
    minutes: float
    command: str
    best: float
    class_weight: torch.Tensor | None
    skipped: dict[str, int]


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Content of a checkpoint file, or of ``last.ckpt`` in the folder of a run. Raises InputError."""
    path = path / LAST if path.is_dir() else path
    try:
        content = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # torch raises many kinds, from pickle errors to its own
        raise InputError(f'cannot read checkpoint {path}: {error}; give the last.ckpt of a training run') from error
    if not isinstance(content, dict) or STATE not in content:
        raise InputError(f'{path} is no checkpoint of this software; give the last.ckpt of a training run')
    return content


def schema_of(content: dict[str, Any]) -> ClassSchema:
    """The classes a checkpoint's network tells apart."""
    mine = content[STATE]
    if is_known(mine['schema']):
        return schema(mine['schema'])
    return own_schema(mine['schema'], [(name, (r, g, b), raw) for name, (r, g, b), raw in mine['classes']])


def open_checkpoint(path: Path, classes: int) -> Checkpoint:
    """A network that tells ``classes`` apart from a checkpoint file or the folder of a run.

    Raises InputError when it cannot be read or is of another network.
    """
    content = read_checkpoint(path)
    mine = content[STATE]
    recipe = recipe_from(mine['recipe'], str(path))
    network = create(recipe.backbone, classes, recipe.sensor)
    weights = mine['average'] or {name.removeprefix(PREFIX): value for name, value in content['state_dict'].items()
                                  if name.startswith(PREFIX)}
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(f'{path} does not fit a {recipe.backbone} of {classes} classes: {str(error)[:200]}') from error
    return Checkpoint(path, recipe, network.eval(), int(mine['step']), float(mine['minutes']), str(mine['command']),
                      float(mine['best']), mine['class_weight'], dict(mine['skipped']))
