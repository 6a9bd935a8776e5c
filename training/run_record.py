"""``run.json``: what was run, on what, from which sources, how long it took and what came of it."""

from __future__ import annotations

import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from sam2amml_core.errors import InputError

RUN_FILE = 'run.json'


def hardware() -> str:
    """Processor, how many of its cores may be used, and GPUs, in words."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines()
        name = next((line.partition(':')[2].strip() for line in lines if line.startswith('model name')), name)
    except OSError:
        pass
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return f'{name}, {cores} cores' + (f', {len(gpus)} x {gpus[0]}' if gpus else '')


def versions() -> dict[str, str]:
    """Of Python and the packages that decide about numbers."""
    return {'python': platform.python_version(),
            **{name: version(name) for name in ('torch', 'lightning', 'numpy', 'sam2amml') if _installed(name)}}


def write_record(folder: Path, content: dict[str, Any]) -> None:
    """Write or extend ``folder/run.json``, whole or not at all."""
    path = folder / RUN_FILE
    before = read_record(folder) if path.is_file() else {}
    scratch = folder / f'.{RUN_FILE}.part'
    scratch.write_text(json.dumps(before | content, indent=1), encoding='utf-8')
    os.replace(scratch, path)


def read_record(folder: Path) -> dict[str, Any]:
    """Content of ``folder/run.json``. Raises InputError when it cannot be read."""
    path = folder / RUN_FILE
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise InputError(f'{path} cannot be read: {error}; give the folder of a training run') from error
    if not isinstance(content, dict):
        raise InputError(f'{path} is no record of a run')
    return content


def _installed(name: str) -> bool:
    try:
        version(name)
    except ImportError:
        return False
    return True
