"""``sam2amml export-sam2``: a run of the nano SAM2 as a folder that ships: configuration, weights, provenance."""

from __future__ import annotations

import json
from pathlib import Path

import yaml
from rich.console import Console

from sam2amml_core.bundle import sha256_of
from sam2amml_core.io.labels import make_folder
from sam2amml_core.masks.sam2_model import ABOUT_FILE, CONFIG_FILE, WEIGHTS_FILE, load

PREFIX = 'sam.'


def run(folder: Path, checkpoint: Path, command: str, seed: int, report: Path | None) -> Path:
    """Write the running average of the weights as float16; return the folder.

    report  a table of ``sam2amml masks-report``, for the record
    Raises InputError when the checkpoint cannot be read or the folder not be written.
    """
    import torch

    from training.masks.nano import nano_config
    from training.masks.sam2_trainer import read_checkpoint

    state = read_checkpoint(checkpoint)
    size, steps = int(state['size']), int(state['step'] + state['before'])
    weights = {key.removeprefix(PREFIX): value.half() if value.dtype.is_floating_point else value
               for key, value in state['average'].items() if key.startswith(PREFIX)}
    make_folder(folder)
    (folder / CONFIG_FILE).write_text(yaml.safe_dump(nano_config(size), sort_keys=False, width=110))
    torch.save({'model': weights}, folder / WEIGHTS_FILE)
    about = {'sha256': sha256_of(folder / WEIGHTS_FILE), 'sam2': '1.1.0', 'layout': '2.1', 'image_size': size,
             'data': 'pictures of the synthetic street world (split train), no real image',
             'command': command, 'seed': seed, 'steps': steps, 'last_steps_minutes': round(float(state['minutes']), 1),
             'report': json.loads(report.read_text()) if report else None}
    (folder / ABOUT_FILE).write_text(yaml.safe_dump(about, sort_keys=False, width=110))
    load(str(folder / CONFIG_FILE), folder / WEIGHTS_FILE)  # what cannot be read back is not shipped
    Console(stderr=True).print(f'{folder}: {steps} steps, {(folder / WEIGHTS_FILE).stat().st_size / 1e6:.1f} MB')
    return folder
