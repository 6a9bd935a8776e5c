"""A maker of masks from plain values, which travel to other processes and machines."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

from sam2amml_core.errors import InputError
from sam2amml_core.labels import schema
from sam2amml_core.masks.generator import MaskGenerator
from sam2amml_core.masks.lidar_masks import LidarMasks, LidarMaskSettings
from sam2amml_core.masks.sam2_model import load
from sam2amml_core.masks.superpixels import METHODS, SuperpixelMasks, SuperpixelSettings

GENERATORS = ('lidar', 'outlines', *METHODS)
AUTOMATIC = 'automatic'
CLASSES = ('none', 'predicted', 'given')
SWITCHES = ('elimination', 'boxes', 'areas', 'granularity', 'merge', 'suppress', 'outlines', 'tiling', 'surface_cut')


@dataclass(frozen=True)
class MakerSpec:
    """What makes the masks.

    generator   lidar (SAM2 prompted by the LiDAR), outlines (of LiDAR clusters, no weights), slic or felzenszwalb
                (superpixels); automatic (SAM2's own generator) is for comparisons and made by ``training`` only
    classes     what proposals come from: none (geometry), predicted (by the shipped LiDAR model) or given (labels)
    model, checkpoint, device  of SAM2, as ``load`` takes them
    encoder     ONNX file of SAM2's image encoder, or None
    without     strategies switched off, of ``SWITCHES``
    """

    generator: str = 'lidar'
    classes: str = 'none'
    model: str = 'sam2_nano'
    checkpoint: str | None = None
    device: str = 'cpu'
    without: tuple[str, ...] = ()
    encoder: str | None = None

    def check(self) -> None:
        """Raises InputError naming what is unknown."""
        for value, known in ((self.generator, (*GENERATORS, AUTOMATIC)), (self.classes, CLASSES),
                             *((name, SWITCHES) for name in self.without)):
            if value not in known:
                raise InputError(f'{value!r} is unknown; choose one of {", ".join(known)}')

    def make(self, schema_name: str) -> MaskGenerator:
        """The maker, for points whose classes are train ids of the schema. Raises as ``load`` does."""
        self.check()
        if self.generator == AUTOMATIC:
            raise InputError(f'generator {AUTOMATIC!r} is for `sam2amml masks` only; choose {", ".join(GENERATORS)}')
        if self.generator in METHODS:
            return SuperpixelMasks(SuperpixelSettings(self.generator))
        if self.generator == 'outlines':
            return LidarMasks(None, self._settings(), schema(schema_name))
        sam = load(self.model, self.checkpoint, self.device)
        if self.encoder is not None:
            from sam2amml_core.masks.sam2_encoder import with_encoder

            sam = with_encoder(sam, self.encoder)
        return LidarMasks(sam, self._settings(), schema(schema_name))

    def _settings(self) -> LidarMaskSettings:
        full = LidarMaskSettings()
        off = dict.fromkeys(self.without, False)
        prompts = replace(full.prompts, **{k: v for k, v in off.items() if k in asdict(full.prompts)})
        fusion = replace(full.fusion, **{k: v for k, v in off.items() if k in asdict(full.fusion)})
        return replace(full, prompts=prompts, fusion=fusion, tiling='tiling' not in off,
                       surface_cut=None if 'surface_cut' in off else full.surface_cut)


def checkpoint_path(path: Path | None) -> str | None:
    """As it stands in a spec: absolute, since workers may run elsewhere."""
    return None if path is None else str(path.resolve())
