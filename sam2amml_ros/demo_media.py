"""Pictures of the demo: labels over the first camera with the bird's-eye view below, as a video, and a still."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.progress import track

from sam2amml_core.frame import Frame
from sam2amml_core.io.bag import BagInput
from sam2amml_core.viz import bird_eye, labelled_view, palette, write_gif, write_video
from sam2amml_ros.demo_report import Sequence

GIF_EVERY = 4
GIF_WIDTH = 560


def write_media(folder: Path, sequence: Sequence, labels: dict[int, np.ndarray], console: Console) -> None:
    """``overlay.mp4`` of all labelled sweeps, ``overlay.gif`` of every fourth, ``birds_eye.png`` of the middle one."""
    colors = palette(sequence.schema.colors)
    pictures = []
    middle = min(labels, key=lambda index: abs(index - sequence.sweeps // 2))
    frames = enumerate(BagInput(sequence.bag))
    for index, (_, frame) in track(frames, 'drawing', total=sequence.sweeps, console=console):
        if index not in labels:
            continue
        point_colors = colors[labels[index]]
        top = bird_eye(frame.cloud.xyz, point_colors)
        if index == middle:
            cv2.imwrite(str(folder / 'birds_eye.png'), cv2.cvtColor(top, cv2.COLOR_RGB2BGR))
        pictures.append(compose(frame, top, point_colors))
    write_video(folder / 'overlay.mp4', pictures, 10)
    small = [cv2.resize(p, (GIF_WIDTH, round(p.shape[0] * GIF_WIDTH / p.shape[1])), interpolation=cv2.INTER_AREA)
             for p in pictures[::GIF_EVERY]]
    write_gif(folder / 'overlay.gif', small, 10 / GIF_EVERY)


def compose(frame: Frame, top: np.ndarray, point_colors: np.ndarray) -> np.ndarray:
    """The first camera with the points it sees, above a strip of the bird's-eye picture; the picture alone without one.

    top uint8 [S, S, 3]; point_colors uint8 [N, 3]; returns uint8 [H, W, 3] with even sides, as video needs them.
    """
    if not frame.views:
        return _even(top)
    drawn = labelled_view(frame.views[0], frame.cloud.xyz, point_colors)
    width = drawn.shape[1]
    scaled = cv2.resize(top, (width, round(top.shape[0] * width / top.shape[1])), interpolation=cv2.INTER_AREA)
    middle, half = scaled.shape[0] // 2, min(scaled.shape[0] // 2, drawn.shape[0])
    return _even(np.concatenate((drawn, scaled[middle - half:middle + half])))


def _even(image: np.ndarray) -> np.ndarray:
    return image[:image.shape[0] // 2 * 2, :image.shape[1] // 2 * 2]
