"""One colour for every class id that can appear in labels."""

from __future__ import annotations

import numpy as np

UNKNOWN_COLOR = (110, 110, 110)


def palette(colors: np.ndarray) -> np.ndarray:
    """Class colours uint8 [C + 1, 3] RGB, index = class id, as uint8 [256, 3]; ids that are no class are grey."""
    table = np.full((256, 3), UNKNOWN_COLOR, np.uint8)
    table[1:len(colors)] = colors[1:]
    return table
