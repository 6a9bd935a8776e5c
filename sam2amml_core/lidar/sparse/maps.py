"""The maps of a sparse U-Net's levels, from the tables of a prepared sweep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from sam2amml_core.lidar.sparse.convolution import ConvMap, PairMap, ParentMap, TableMap
from sam2amml_core.lidar.sparse.spconv_backend import SpconvMap

Form = Literal['pairs', 'tables', 'spconv']
"""pairs: training and CPUs; tables: export; spconv: spconv's kernels on CUDA, on the same pairs and weights"""


@dataclass(frozen=True)
class LevelMaps:
    """near[l]: submanifold, kernel 3, at level l; down[l] and up[l]: between level l and l + 1."""

    near: list[ConvMap]
    down: list[ConvMap]
    up: list[ConvMap]


def level_maps(inputs: Mapping[str, Tensor], levels: int, form: Form) -> LevelMaps:
    """The maps of ``levels`` halvings in the ``form`` asked for; ``EngineError`` where spconv is missing or wrong."""
    if form == 'tables':
        return table_maps(inputs, levels)
    native = pair_maps(inputs, levels)
    return native if form == 'pairs' else _on_spconv(native)


def _on_spconv(maps: LevelMaps) -> LevelMaps:
    def each(sites: list[ConvMap]) -> list[ConvMap]:
        return [SpconvMap(one) if isinstance(one, PairMap) else one for one in sites]

    return LevelMaps(each(maps.near), each(maps.down), each(maps.up))


def pair_maps(inputs: Mapping[str, Tensor], levels: int) -> LevelMaps:
    """Maps of pairs that exist, for training and for inference in torch."""
    near: list[ConvMap] = [PairMap.of(inputs['near_0'], len(inputs['near_0']))]
    down: list[ConvMap] = []
    up: list[ConvMap] = []
    for level in range(1, levels + 1):
        rows = len(inputs[f'near_{level - 1}'])
        strided = PairMap.of(inputs[f'down_{level}'], rows)
        down.append(strided)
        up.append(strided.transposed())
        near.append(PairMap.of(inputs[f'near_{level}'], len(inputs[f'near_{level}'])))
    return LevelMaps(near, down, up)


def table_maps(inputs: Mapping[str, Tensor], levels: int) -> LevelMaps:
    """Maps that gather every tap with standard operators, for export."""
    numbers = range(1, levels + 1)
    return LevelMaps(
        [TableMap(inputs[f'near_{level}']) for level in range(levels + 1)],
        [TableMap(inputs[f'down_{level}']) for level in numbers],
        [ParentMap(up) if up.ndim == 1 else TableMap(up) for up in (inputs[f'up_{level}'] for level in numbers)])
