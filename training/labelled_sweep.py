"""A labelled sweep as training handles it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from sam2amml_core.errors import InputError

_NONE = np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class LabelledSweep:
    """N points with truth.

    xyz        float32 [N, 3], metres, sensor frame
    intensity  float32 [N], 0..1
    ring       uint8 [N], beam index
    label      uint8 [N], train ids, 0 = ignored
    mask_id    int64 [N], image mask the point fell into, 0 = none; ids of two scans never meet, so points of mixed
               scans share an id if and only if they came from the same mask of the same scan
    instance   uint32 [N], object the point is of, 0 = none; unique within its scan only
    """

    xyz: np.ndarray
    intensity: np.ndarray
    ring: np.ndarray
    label: np.ndarray
    mask_id: np.ndarray = field(default_factory=lambda: _NONE)
    instance: np.ndarray = field(default_factory=lambda: _NONE)

    def __post_init__(self) -> None:
        for name, dtype in (('mask_id', np.int64), ('instance', np.uint32)):
            if getattr(self, name) is _NONE:
                object.__setattr__(self, name, np.zeros(len(self.xyz), dtype))
        for name in ('intensity', 'ring', 'label', 'mask_id', 'instance'):
            if len(getattr(self, name)) != len(self.xyz):
                raise InputError(f'{name} has {len(getattr(self, name))} values for {len(self.xyz)} points')

    def __len__(self) -> int:
        return len(self.xyz)

    def take(self, which: np.ndarray) -> LabelledSweep:
        """The points of a mask or an index."""
        return LabelledSweep(self.xyz[which], self.intensity[which], self.ring[which], self.label[which],
                             self.mask_id[which], self.instance[which])

    def with_xyz(self, xyz: np.ndarray) -> LabelledSweep:
        return replace(self, xyz=np.ascontiguousarray(xyz, np.float32))

    def with_intensity(self, intensity: np.ndarray) -> LabelledSweep:
        return replace(self, intensity=intensity.astype(np.float32, copy=False))

    def join(self, other: LabelledSweep) -> LabelledSweep:
        """The points of both."""
        return LabelledSweep(*(np.concatenate((getattr(self, name), getattr(other, name)))
                               for name in ('xyz', 'intensity', 'ring', 'label', 'mask_id', 'instance')))
