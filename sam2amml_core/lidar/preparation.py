"""From a sweep to the arrays a network takes; one way per kind of network, at run time and in training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from sam2amml_core.bundle import Normalisation, SensorGeometry
from sam2amml_core.frame import PointCloud
from sam2amml_core.lidar.input_spec import CylinderInput, InputSpec, RangeInput, TokenInput, VoxelInput
from sam2amml_core.lidar.range_view import make_range_view
from sam2amml_core.lidar.sparse.tables import halve, neighbour_table, strided_table, transpose_table
from sam2amml_core.lidar.tokens import flat_cells, nearest_tokens
from sam2amml_core.lidar.voxels import VoxelGrid, cell_means, group_cells, voxelise

VOXEL_FEATURES = ('x', 'y', 'z', 'intensity')
"""Means over the points of a voxel, of sparse U-Nets; metres, intensity 0..1."""

CYLINDER_FEATURES = ('radius_offset', 'azimuth_offset', 'z_offset', 'radius', 'azimuth', 'z', 'x', 'y', 'intensity')
"""Per point: the distance to the middle of its cell, then its own coordinates; metres, radians, intensity 0..1."""

TOKEN_FEATURES = ('intensity', 'x', 'y', 'z', 'range')
"""Means over the points of a token's voxel."""


@dataclass(frozen=True)
class Reference:
    """An input that holds row numbers: of ``rows`` rows, from 0, or with ``none`` from 1, and 0 means no row."""

    rows: int
    none: bool = False


@dataclass(frozen=True, eq=False)
class Prepared:
    """A sweep of N points as a network sees it; V of them can be labelled.

    valid       bool [N]
    inputs      arrays by the names of the network's inputs; one answers for each valid point, in their order
    references  for inputs that hold row numbers, of what; needed to join sweeps to a batch
    """

    valid: np.ndarray
    inputs: dict[str, np.ndarray]
    references: Mapping[str, Reference] = field(default_factory=dict)

    @property
    def points(self) -> int:
        """V, the points that can be labelled."""
        return int(np.count_nonzero(self.valid))


def prepare(spec: InputSpec, cloud: PointCloud, sensor: SensorGeometry, normalisation: Normalisation) -> Prepared:
    """Prepare ``cloud`` as ``spec`` asks. Points that are not finite or out of the sensor's range drop out."""
    if isinstance(spec, RangeInput):
        view = make_range_view(cloud, sensor, normalisation)
        return Prepared(view.valid, {'features': view.features, 'pixel': view.pixel},
                        {'pixel': Reference(sensor.pixels)})
    valid = in_range(cloud, sensor)
    xyz, intensity = (cloud.xyz, cloud.intensity) if valid.all() else (cloud.xyz[valid], cloud.intensity[valid])
    intensity = intensity.astype(np.float32, copy=False)
    if isinstance(spec, VoxelInput):
        inputs, references = _voxels(spec, xyz, intensity, normalisation)
    elif isinstance(spec, CylinderInput):
        inputs, references = _cylinder(spec, xyz, intensity, normalisation)
    else:
        inputs, references = _tokens(spec, xyz, intensity, normalisation)
    return Prepared(valid, inputs, references)


def in_range(cloud: PointCloud, sensor: SensorGeometry) -> np.ndarray:
    """bool [N]: finite points within the sensor's range."""
    with np.errstate(invalid='ignore', over='ignore'):
        distance = np.sqrt(np.square(cloud.xyz).sum(axis=1))
        # comparisons with NaN are false, so points that are not finite drop out here
        valid = (distance >= sensor.min_range_m) & (distance <= sensor.max_range_m)
    return valid & np.isfinite(cloud.intensity)


def input_names(spec: InputSpec) -> tuple[str, ...]:
    """Names of the arrays that ``prepare`` makes, in the order of the network's inputs."""
    if isinstance(spec, RangeInput):
        return 'features', 'pixel'
    if isinstance(spec, TokenInput):
        return 'features', 'voxel', 'near', 'cell_0', 'cell_1', 'cell_2'
    levels = spec.halvings if isinstance(spec, VoxelInput) else len(spec.strides)
    return ('features', 'voxel', 'near_0',
            *(f'{name}_{level}' for level in range(1, levels + 1) for name in ('down', 'up', 'near')))


def dimensions(spec: InputSpec) -> dict[str, str]:
    """For each input, what its rows are: ``points``, or ``voxels_L`` of level L; inputs of one name are as long."""
    if isinstance(spec, RangeInput):
        return dict.fromkeys(input_names(spec), 'points')
    found = {}
    for name in input_names(spec):
        stem, _, level = name.partition('_')
        if stem in ('near', 'down'):
            found[name] = f'voxels_{level or 0}'
        elif stem == 'up':
            found[name] = f'voxels_{int(level) - 1}'
        else:
            found[name] = 'points' if name == 'voxel' else 'voxels_0'
    if isinstance(spec, CylinderInput):
        found['features'] = 'points'
    return found


Arrays = tuple[dict[str, np.ndarray], dict[str, Reference]]


def _voxels(spec: VoxelInput, xyz: np.ndarray, intensity: np.ndarray, normalisation: Normalisation) -> Arrays:
    grid = voxelise(xyz, spec.voxel_m)
    values = np.column_stack((xyz, intensity))
    inputs = {'features': _normalised(cell_means(values, grid.index, len(grid)), VOXEL_FEATURES, normalisation),
              'voxel': grid.index, 'near_0': neighbour_table(grid.cells)}
    rows = {'voxel': Reference(len(grid)), 'near_0': Reference(len(grid), none=True)}
    cells = grid.cells
    for level in range(1, spec.halvings + 1):
        fine = len(cells)
        cells, inputs[f'down_{level}'], inputs[f'up_{level}'] = halve(cells)
        inputs[f'near_{level}'] = neighbour_table(cells)
        rows[f'down_{level}'] = Reference(fine, none=True)
        rows[f'up_{level}'] = Reference(8 * len(cells))
        rows[f'near_{level}'] = Reference(len(cells), none=True)
    return inputs, rows


def _cylinder(spec: CylinderInput, xyz: np.ndarray, intensity: np.ndarray, normalisation: Normalisation) -> Arrays:
    values, grid = cylinder_grid(spec, xyz, intensity)
    inputs = {'features': _normalised(values, CYLINDER_FEATURES, normalisation),
              'voxel': grid.index, 'near_0': neighbour_table(grid.cells)}
    rows = {'voxel': Reference(len(grid)), 'near_0': Reference(len(grid), none=True)}
    cells, shape = grid.cells, spec.cells
    for level, stride in enumerate(spec.strides, start=1):
        fine = len(cells)
        cells, down, shape = strided_table(cells, shape, stride)
        inputs[f'down_{level}'], inputs[f'up_{level}'] = down, transpose_table(down, fine)
        inputs[f'near_{level}'] = neighbour_table(cells)
        rows[f'down_{level}'] = Reference(fine, none=True)
        rows[f'up_{level}'] = rows[f'near_{level}'] = Reference(len(cells), none=True)
    return inputs, rows


def cylinder_grid(spec: CylinderInput, xyz: np.ndarray, intensity: np.ndarray) -> tuple[np.ndarray, VoxelGrid]:
    """Values [N, 9] of ``CYLINDER_FEATURES`` and the grid over radius, azimuth, z; metres and radians."""
    polar = np.stack((np.hypot(xyz[:, 0], xyz[:, 1]), np.arctan2(xyz[:, 1], xyz[:, 0]), xyz[:, 2]), axis=1)
    low = np.array([0.0, -np.pi, spec.z_m[0]], np.float32)
    number = np.array(spec.cells, np.float32)
    size = np.array([spec.radius_m, 2 * np.pi, spec.z_m[1] - spec.z_m[0]], np.float32) / number
    cells = np.clip(np.floor((polar - low) / size), 0, number - 1).astype(np.int32)
    middle = (cells.astype(np.float32) + np.float32(0.5)) * size + low
    return np.column_stack((polar - middle, polar, xyz[:, :2], intensity)), group_cells(cells)


def _tokens(spec: TokenInput, xyz: np.ndarray, intensity: np.ndarray, normalisation: Normalisation) -> Arrays:
    grid = voxelise(xyz, spec.voxel_m)
    means = cell_means(np.column_stack((intensity, xyz)), grid.index, len(grid))
    place = means[:, 1:]
    values = np.column_stack((means, np.sqrt(np.square(place).sum(axis=1))))
    inputs = {'features': _normalised(values, TOKEN_FEATURES, normalisation), 'voxel': grid.index,
              'near': nearest_tokens(place, grid.cells, spec.neighbours, spec.scales)}
    rows = {'voxel': Reference(len(grid)), 'near': Reference(len(grid))}
    for number, (cell, shape) in enumerate(zip(flat_cells(place, spec), spec.grids, strict=True)):
        inputs[f'cell_{number}'] = cell
        rows[f'cell_{number}'] = Reference(shape[0] * shape[1])
    return inputs, rows


def _normalised(values: np.ndarray, names: tuple[str, ...], normalisation: Normalisation) -> np.ndarray:
    """(value - mean) / std by name, float32; features that the normalisation does not name stay as they are."""
    mean = np.array([normalisation.mean.get(name, 0.0) for name in names], np.float32)
    std = np.array([normalisation.std.get(name, 1.0) for name in names], np.float32)
    return ((values - mean) / std).astype(np.float32, copy=False)
