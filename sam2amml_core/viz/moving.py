"""Pictures one after the other, as GIF or video."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from sam2amml_core.errors import InputError


def write_gif(path: Path, frames: Sequence[np.ndarray], fps: float) -> None:
    """Frames uint8 [H, W, 3] RGB of one size as a GIF that plays for ever. Raises InputError as ``write_video``."""
    _check(path, frames, fps)
    animation = cv2.Animation()
    animation.frames = [cv2.cvtColor(frame, cv2.COLOR_RGB2BGR) for frame in frames]
    animation.durations = [round(1000 / fps)] * len(frames)
    animation.loop_count = 0
    _make_folder(path)
    try:
        written = cv2.imwriteanimation(str(path), animation)
    except cv2.error as error:
        raise InputError(f'cannot write {path}: {error}') from error
    if not written:
        raise InputError(f'cannot write {path}; choose another folder, and a name that ends in .gif')


def write_video(path: Path, frames: Sequence[np.ndarray], fps: float) -> None:
    """Frames uint8 [H, W, 3] RGB of one size as an MPEG-4 video. Raises InputError when it cannot be written."""
    _check(path, frames, fps)
    _make_folder(path)
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'mp4v'), fps, (width, height))
    if not writer.isOpened():
        raise InputError(f'cannot write {path}; choose another folder, and a name that ends in .mp4')
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()


def _check(path: Path, frames: Sequence[np.ndarray], fps: float) -> None:
    if not frames:
        raise InputError(f'no pictures to write into {path}')
    if not 0 < fps <= 1000:
        raise InputError(f'fps is {fps}; give 0 to 1000 pictures a second')
    wrong = next((f for f in frames if f.shape != frames[0].shape or f.dtype != np.uint8 or f.shape[2:] != (3,)), None)
    if wrong is not None:
        raise InputError(f'a picture is {wrong.dtype} {wrong.shape}; give all as uint8 {frames[0].shape[:2]} RGB')


def _make_folder(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f'cannot write {path}: {error.strerror}; choose another folder') from error
