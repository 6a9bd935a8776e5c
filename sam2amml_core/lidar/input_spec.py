"""How a network wants its sweep prepared: one small settings model per kind; a bundle names its own."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Strict(BaseModel):
    model_config = ConfigDict(extra='forbid', frozen=True)


class RangeInput(_Strict):
    """Points sorted into the frusta of a range image; its size is that of the bundle's sensor geometry."""

    kind: Literal['range'] = 'range'


class VoxelInput(_Strict):
    """Cubic voxels of ``voxel_m`` metres and the tables of a sparse U-Net that halves them ``halvings`` times."""

    kind: Literal['voxels'] = 'voxels'
    voxel_m: float = Field(default=0.1, ge=0.01, le=10)
    halvings: int = Field(default=4, ge=0, le=8)


class CylinderInput(_Strict):
    """Cells of a cylindrical partition (Zhu et al., Cylinder3D, 2021) around the sensor's z axis.

    ``cells`` along radius, azimuth and height; points beyond ``radius_m`` or outside ``z_m`` count to the outermost
    cells. ``strides`` are those of the network's strided convolutions (kernel 3, padding 1), one per level.
    """

    kind: Literal['cylinder'] = 'cylinder'
    cells: tuple[int, int, int] = (480, 360, 32)
    radius_m: float = Field(default=50.0, gt=0)
    z_m: tuple[float, float] = (-4.0, 2.0)
    strides: tuple[tuple[int, int, int], ...] = ((2, 2, 2), (2, 2, 2), (2, 2, 1), (2, 2, 1))

    @model_validator(mode='after')
    def _sound(self) -> CylinderInput:
        if min(self.cells) < 1:
            raise ValueError(f'cells {self.cells} must be positive')
        if self.z_m[0] >= self.z_m[1]:
            raise ValueError(f'z_m {self.z_m} must rise')
        return self


class TokenInput(_Strict):
    """One token per voxel, its nearest neighbours, and its cell in flat grids seen along z, y and x (WaffleIron).

    The grids cover ``extent_m`` (x from, to, y from, to, z from, to) with cells of ``cell_m`` metres; tokens outside
    count to the outermost cells.
    """

    kind: Literal['tokens'] = 'tokens'
    voxel_m: float = Field(default=0.1, ge=0.01, le=10)
    neighbours: int = Field(default=16, ge=1, le=64)
    scales: int = Field(default=4, ge=1, le=8)
    extent_m: tuple[float, float, float, float, float, float] = (-50, 50, -50, 50, -5, 5)
    cell_m: float = Field(default=0.4, gt=0)

    @model_validator(mode='after')
    def _sound(self) -> TokenInput:
        for low, high in zip(self.extent_m[::2], self.extent_m[1::2], strict=True):
            if low >= high:
                raise ValueError(f'extent_m {self.extent_m} must rise along each axis')
        return self

    @property
    def grids(self) -> tuple[tuple[int, int], ...]:
        """Shapes of the three grids: (x, y), (x, z) and (y, z) cells."""
        x, y, z = (round((high - low) / self.cell_m)
                   for low, high in zip(self.extent_m[::2], self.extent_m[1::2], strict=True))
        return (x, y), (x, z), (y, z)


InputSpec = Annotated[RangeInput | VoxelInput | CylinderInput | TokenInput, Field(discriminator='kind')]
