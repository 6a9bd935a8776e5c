"""SemanticKITTI ``.label`` files: one little-endian uint32 per point, class in the lower 16 bits, instance above."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from sam2amml_core.errors import InputError


def read_label(path: Path, points: int | None = None) -> np.ndarray:
    """uint32 [N] of a ``.label`` file. Raises InputError when missing, truncated, or not of ``points`` points."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f'label file {path} cannot be read: {error.strerror}') from error
    if len(data) % 4:
        raise InputError(f'label file {path} has {len(data)} bytes, no multiple of 4; it is truncated, copy it again')
    raw = np.frombuffer(data, '<u4').astype(np.uint32)
    if points is not None and len(raw) != points:
        raise InputError(f'label file {path} has {len(raw)} labels for a cloud of {points} points; '
                         'they belong to different sweeps')
    return raw


def write_label(path: Path, raw_ids: np.ndarray) -> None:
    """Write raw ids [N] (any integer type, up to 32 bit) as a ``.label`` file, whole or not at all.

    The folder is made if missing. Raises InputError when it cannot be written.
    """
    path = Path(path)
    make_folder(path.parent)
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.part')
    try:
        temporary.write_bytes(np.ascontiguousarray(raw_ids, '<u4').tobytes())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(f'cannot write {path}: {error.strerror}; choose another output folder') from error


def make_folder(folder: Path) -> Path:
    """The folder, made with its parents. Raises InputError when that fails or files cannot be made in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f'.write-test.{os.getpid()}'
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(f'cannot write into {folder}: {error.strerror}; choose another output folder') from error
    return folder
