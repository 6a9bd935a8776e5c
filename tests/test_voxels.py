from __future__ import annotations

import numpy as np
import pytest

from sam2amml_core.errors import InputError
from sam2amml_core.lidar import tokens
from sam2amml_core.lidar.sparse.tables import halve, neighbour_table, strided_table, transpose_table
from sam2amml_core.lidar.tokens import nearest_tokens
from sam2amml_core.lidar.voxels import cell_means, group_cells, voxelise


@pytest.mark.parametrize('spread', [2, 40, 200_000])
def test_cells_are_those_of_numpy_unique(spread: int) -> None:
    """The widest spread needs more than 63 bits with the points' numbers, so both ways of sorting are tried."""
    cells = np.random.default_rng(0).integers(-spread, spread, (3000, 3))
    cells[::3] = cells[0]
    grid = group_cells(cells)
    expected, inverse = np.unique(cells, axis=0, return_inverse=True)
    np.testing.assert_array_equal(grid.cells, expected)
    np.testing.assert_array_equal(grid.index, inverse.ravel())


def test_cells_that_do_not_fit_into_a_key_are_refused() -> None:
    with pytest.raises(InputError, match='larger voxels'):
        group_cells(np.array([[0, 0, 0], [1 << 30, 1 << 30, 1 << 30]]))


def test_no_points_have_no_cells() -> None:
    grid = voxelise(np.zeros((0, 3), np.float32), 0.1)
    assert len(grid) == len(grid.index) == 0
    assert neighbour_table(grid.cells).shape == (0, 27)


def test_a_voxel_holds_the_points_of_its_cube_and_their_mean() -> None:
    xyz = np.array([[0.01, 0.02, 0.03], [0.09, 0.0, 0.05], [-0.01, 0, 0], [1.05, 0, 0]], np.float32)
    grid = voxelise(xyz, 0.1)
    np.testing.assert_array_equal(grid.cells, [[0, 0, -1], [0, 0, 0], [0, 0, 10]])
    np.testing.assert_array_equal(grid.index, [1, 1, 0, 2])
    np.testing.assert_allclose(cell_means(xyz, grid.index, 3)[1], [0.05, 0.01, 0.04], atol=1e-7)


def crowd(seed: int = 0, size: int = 9, count: int = 200) -> np.ndarray:
    """Distinct cells, in order."""
    return group_cells(np.random.default_rng(seed).integers(0, size, (count, 3))).cells


def test_neighbours_are_those_found_by_looking_at_every_pair() -> None:
    cells = crowd()
    table = neighbour_table(cells)
    where = {tuple(cell): i + 1 for i, cell in enumerate(cells.tolist())}
    for tap, offset in enumerate(np.ndindex(3, 3, 3)):
        expected = [where.get(tuple(cell), 0) for cell in (cells + np.array(offset) - 1).tolist()]
        np.testing.assert_array_equal(table[:, tap], expected)


def test_every_fine_cell_has_one_parent_and_one_tap() -> None:
    cells = crowd() - 4
    coarse, down, up = halve(cells)
    np.testing.assert_array_equal(coarse[up // 8], np.floor_divide(cells, 2))
    np.testing.assert_array_equal(down.ravel()[up], np.arange(1, len(cells) + 1))
    assert np.count_nonzero(down) == len(cells)
    np.testing.assert_array_equal(coarse[:, None] * 2 + np.array(list(np.ndindex(2, 2, 2))), _grown(cells, down))


def _grown(cells: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Cells of a table; where there is none, what they would be."""
    coarse = halve(cells)[0]
    whole = coarse[:, None] * 2 + np.array(list(np.ndindex(2, 2, 2)))
    present = down > 0
    whole[present] = cells[down[present] - 1]
    return whole


@pytest.mark.parametrize('stride', [(2, 2, 2), (2, 2, 1)])
def test_a_strided_table_obeys_its_formula_and_misses_no_pair(stride: tuple[int, int, int]) -> None:
    cells, shape = crowd(), (9, 9, 9)
    outs, table, size = strided_table(cells, shape, stride)
    out, tap = np.nonzero(table)
    offsets = np.array(list(np.ndindex(3, 3, 3)))
    np.testing.assert_array_equal(cells[table[out, tap] - 1], outs[out] * stride - 1 + offsets[tap])
    every = [(a, b) for a in range(len(outs)) for b in range(len(cells))
             if np.all(np.abs(cells[b] - outs[a] * stride) <= 1)]
    assert len(every) == len(out)
    assert size == tuple((s - 1) // t + 1 for s, t in zip(shape, stride, strict=True))
    back = transpose_table(table, len(cells))
    assert np.count_nonzero(back) == len(out)
    np.testing.assert_array_equal(back[table[out, tap] - 1, tap], out + 1)


def test_nearest_tokens_are_exact_where_they_are_near() -> None:
    random = np.random.default_rng(0)
    grid = voxelise(random.uniform(0, 1, (400, 3)).astype(np.float32), 0.2)
    place = ((grid.cells[:, ::-1] + 0.5) * 0.2 + random.uniform(-0.05, 0.05, (len(grid), 3))).astype(np.float32)
    near = nearest_tokens(place, grid.cells, 5, 3)
    distance = np.linalg.norm(place[:, None] - place, axis=-1)
    np.testing.assert_array_equal(near[:, 0], np.arange(len(grid)))
    found = np.take_along_axis(distance, near.astype(np.int64), axis=1)
    exact = np.sort(distance, axis=1)[:, :5]
    safe = exact[:, -1] < 0.3  # nearer than the rim of the voxels that were searched
    assert safe.sum() > 20
    np.testing.assert_allclose(found[safe], exact[safe], atol=1e-5)


def test_a_token_far_from_all_others_finds_them_at_a_larger_scale_or_repeats_itself() -> None:
    place = np.array([[0, 0, 0], [1.0, 0, 0], [90, 0, 0]], np.float32)
    grid = voxelise(place, 0.1)
    near = nearest_tokens(place, grid.cells, 3, 5)
    np.testing.assert_array_equal(near, [[0, 1, 0], [1, 0, 1], [2, 2, 2]])


def test_many_tokens_are_sorted_otherwise_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    xyz = np.random.default_rng(0).uniform(0, 4, (800, 3)).astype(np.float32)
    grid = voxelise(xyz, 0.5)
    place = cell_means(xyz, grid.index, len(grid))
    packed = nearest_tokens(place, grid.cells, 6, 3)
    monkeypatch.setattr(tokens, 'TOKEN_BITS', 1)
    np.testing.assert_array_equal(nearest_tokens(place, grid.cells, 6, 3), packed)
