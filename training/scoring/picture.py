"""A picture of a confusion matrix: rows are the truth, shades and figures the share of each row in percent."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.io.labels import make_folder
from sam2amml_core.metrics import ConfusionMatrix

CELL = 34
FONT = cv2.FONT_HERSHEY_SIMPLEX


def confusion_picture(matrix: ConfusionMatrix, names: tuple[str, ...]) -> np.ndarray:
    """uint8 [H, W, 3] RGB; the first column holds points without a label, classes absent from the truth stay empty."""
    counts = matrix.counts[1:]
    totals = counts.sum(axis=1, keepdims=True)
    share = counts / np.maximum(totals, 1)
    rows, columns = share.shape
    left = top = 20 + max(cv2.getTextSize(name, FONT, 0.42, 1)[0][0] for name in names)
    image = np.full((top + rows * CELL + 12, left + columns * CELL + 12, 3), 255, np.uint8)
    dark, light = np.array([31, 73, 125]), np.array([247, 249, 252])
    for row in range(rows):
        for column in range(columns):
            value = float(share[row, column])
            x, y = left + column * CELL, top + row * CELL
            image[y:y + CELL - 1, x:x + CELL - 1] = (light + (dark - light) * value**0.6).astype(np.uint8)
            if value >= 0.005:
                ink = (255, 255, 255) if value > 0.35 else (40, 40, 40)
                _text(image, f'{100 * value:.0f}', x + 6, y + 21, ink)
    for row, name in enumerate(names[1:]):
        _text(image, name, 8, top + row * CELL + 21, (0, 0, 0))
    heading = np.full((columns * CELL, top, 3), 255, np.uint8)
    for column, name in enumerate(('no label', *names[1:])):
        _text(heading, name, 8, column * CELL + 21, (0, 0, 0))
    image[:top, left:left + columns * CELL] = np.rot90(heading)
    return image


def write_confusion_picture(path: Path, matrix: ConfusionMatrix, names: tuple[str, ...]) -> None:
    """Write the picture as PNG. Raises InputError when that fails."""
    make_folder(path.parent)
    if not cv2.imwrite(str(path), confusion_picture(matrix, names)[..., ::-1]):
        raise InputError(f'cannot write {path}; choose another output folder')


def _text(image: np.ndarray, text: str, x: int, y: int, color: tuple[int, int, int]) -> None:
    cv2.putText(image, text, (x, y), FONT, 0.42, color, 1, cv2.LINE_AA)
