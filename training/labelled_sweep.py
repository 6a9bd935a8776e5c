"""A labelled sweep as training handles it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True, eq=False)
class LabelledSweep:
    """N points with truth.

    xyz        float32 [N, 3], metres, sensor frame
    intensity  float32 [N], 0..1
    ring       uint8 [N], beam index
    label      uint8 [N], train ids, 0 = ignored
    """

    xyz: np.ndarray
    intensity: np.ndarray
    ring: np.ndarray
    label: np.ndarray

    def __len__(self) -> int:
        return len(self.xyz)

    def take(self, which: np.ndarray) -> LabelledSweep:
        """The points of a mask or an index."""
        return LabelledSweep(self.xyz[which], self.intensity[which], self.ring[which], self.label[which])

    def with_xyz(self, xyz: np.ndarray) -> LabelledSweep:
        return replace(self, xyz=np.ascontiguousarray(xyz, np.float32))

    def with_intensity(self, intensity: np.ndarray) -> LabelledSweep:
        return replace(self, intensity=intensity.astype(np.float32, copy=False))

    def join(self, other: LabelledSweep) -> LabelledSweep:
        """The points of both."""
        return LabelledSweep(np.concatenate((self.xyz, other.xyz)), np.concatenate((self.intensity, other.intensity)),
                             np.concatenate((self.ring, other.ring)), np.concatenate((self.label, other.label)))
