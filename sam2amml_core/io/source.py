"""What every kind of input offers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from sam2amml_core.frame import Frame


class InputSource(Protocol):
    """A recording: iterate over (name, Frame), in the order of time.

    kind   in words, for messages
    model  name of the shipped model made for its LiDAR
    schema name of the class schema of its truth, if it has any
    ``len`` is the number of sweeps. Names are unique in the recording and fit for file names.
    """

    kind: str
    model: str
    schema: str

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[tuple[str, Frame]]: ...

    def truth(self, name: str) -> np.ndarray | None:
        """Raw class ids uint32 [N] of one sweep, in the raw numbering of ``schema``, or None."""
        ...
