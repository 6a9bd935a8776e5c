from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sam2amml_core.errors import EngineError
from sam2amml_core.lidar.sparse.convolution import ConvMap, PairMap, ParentMap, SparseConv, TableMap
from sam2amml_core.lidar.sparse.layers import SparseConvNorm
from sam2amml_core.lidar.sparse.spconv_backend import SpconvMap
from sam2amml_core.lidar.sparse.tables import halve, neighbour_table, strided_table, transpose_table
from sam2amml_core.lidar.voxels import group_cells

SIZE = 10
KERNELS = [(3, 3, 3), (1, 3, 3), (3, 1, 3), (3, 1, 1), (1, 1, 3)]


@pytest.fixture(scope='module')
def cells() -> np.ndarray:
    return group_cells(np.random.default_rng(1).integers(0, SIZE, (300, 3))).cells


def dense(x: torch.Tensor, cells: np.ndarray, size: int = SIZE) -> torch.Tensor:
    volume = torch.zeros(1, x.shape[1], size, size, size)
    d, h, w = torch.from_numpy(cells.astype(np.int64)).T
    volume[0, :, d, h, w] = x.T
    return volume


def at(volume: torch.Tensor, cells: np.ndarray) -> torch.Tensor:
    d, h, w = torch.from_numpy(cells.astype(np.int64)).T
    return volume[0, :, d, h, w].T


def forms(table: np.ndarray, inputs: int) -> list[ConvMap]:
    return [PairMap.of(torch.from_numpy(table), inputs), TableMap(torch.from_numpy(table))]


@pytest.mark.parametrize('kernel', KERNELS)
def test_a_submanifold_convolution_is_conv3d_at_its_sites(cells: np.ndarray, kernel: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    layer = SparseConv(5, 7, kernel)
    x = torch.randn(len(cells), 5)
    weight = layer.weight.permute(0, 4, 1, 2, 3)
    expected = at(F.conv3d(dense(x, cells), weight, padding=tuple(k // 2 for k in kernel)), cells)
    for sites in forms(neighbour_table(cells), len(cells)):
        assert (layer(x, sites) - expected).abs().max() < 1e-5


def test_halving_is_conv3d_of_stride_2_and_doubling_its_inverse(cells: np.ndarray) -> None:
    torch.manual_seed(0)
    coarse, down, up = halve(cells)
    layer = SparseConv(5, 7, (2, 2, 2))
    weight = layer.weight.permute(0, 4, 1, 2, 3)
    x = torch.randn(len(cells), 5)
    expected = at(F.conv3d(dense(x, cells), weight, stride=2), coarse)
    for sites in forms(down, len(cells)):
        assert (layer(x, sites) - expected).abs().max() < 1e-5
    back = SparseConv(7, 5, (2, 2, 2))
    weight = back.weight.permute(4, 0, 1, 2, 3)
    y = torch.randn(len(coarse), 7)
    expected = at(F.conv_transpose3d(dense(y, coarse, SIZE // 2), weight, stride=2), cells)
    pairs = PairMap.of(torch.from_numpy(down), len(cells)).transposed()
    for sites in (pairs, ParentMap(torch.from_numpy(up))):
        assert (back(y, sites) - expected).abs().max() < 1e-5


def test_kernel_3_with_stride_is_conv3d_and_its_inverse_is_the_transposed_one(cells: np.ndarray) -> None:
    torch.manual_seed(0)
    coarse, down, size = strided_table(cells, (SIZE,) * 3, (2, 2, 1))
    layer = SparseConv(5, 7)
    x = torch.randn(len(cells), 5)
    weight = layer.weight.permute(0, 4, 1, 2, 3)
    volume = F.conv3d(dense(x, cells), weight, stride=(2, 2, 1), padding=1)
    assert volume.shape[2:] == size
    for sites in forms(down, len(cells)):
        assert (layer(x, sites) - at(volume, coarse)).abs().max() < 1e-5
    occupied = (F.conv3d(dense(torch.ones(len(cells), 1), cells), torch.ones(1, 1, 3, 3, 3), stride=(2, 2, 1),
                         padding=1) > 0).sum()
    assert len(coarse) == occupied
    back = SparseConv(7, 5)
    y = torch.randn(len(coarse), 7)
    grid = torch.zeros(1, 7, *size)
    d, h, w = torch.from_numpy(coarse.astype(np.int64)).T
    grid[0, :, d, h, w] = y.T
    whole = F.conv_transpose3d(grid, back.weight.permute(4, 0, 1, 2, 3), stride=(2, 2, 1), padding=1,
                               output_padding=(1, 1, 0))
    for sites in (PairMap.of(torch.from_numpy(down), len(cells)).transposed(),
                  TableMap(torch.from_numpy(transpose_table(down, len(cells))))):
        assert (back(y, sites) - at(whole, cells)).abs().max() < 1e-5


def test_gradients_are_those_of_finite_differences(cells: np.ndarray) -> None:
    few = cells[:20]
    torch.manual_seed(0)
    table = torch.from_numpy(neighbour_table(few))
    sites = PairMap.of(table, len(few))
    down = PairMap.of(torch.from_numpy(halve(few)[1]), len(few))
    x = torch.randn(len(few), 2, dtype=torch.float64, requires_grad=True)
    near = torch.randn(27, 2, 3, dtype=torch.float64, requires_grad=True)
    octants = torch.randn(8, 3, 2, dtype=torch.float64, requires_grad=True)
    back = torch.randn(8, 2, 1, dtype=torch.float64, requires_grad=True)

    def network(x: torch.Tensor, near: torch.Tensor, octants: torch.Tensor, back: torch.Tensor) -> torch.Tensor:
        y = sites.convolve(x, near, tuple(range(27)))
        y = down.convolve(y, octants, tuple(range(8)))
        return down.transposed().convolve(y, back, tuple(range(8)))

    assert torch.autograd.gradcheck(network, (x, near, octants, back))


def test_the_form_for_export_has_the_same_gradients(cells: np.ndarray) -> None:
    torch.manual_seed(0)
    layer = SparseConv(4, 6)
    x = torch.randn(len(cells), 4)
    found = []
    for sites in forms(neighbour_table(cells), len(cells)):
        layer.zero_grad()
        layer(x, sites).square().sum().backward()
        assert layer.weight.grad is not None
        found.append(layer.weight.grad.clone())
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-4)


def test_it_trains_in_bfloat16(cells: np.ndarray) -> None:
    torch.manual_seed(0)
    layer = SparseConvNorm(4, 6)
    sites = PairMap.of(torch.from_numpy(neighbour_table(cells)), len(cells))
    with torch.autocast('cpu', torch.bfloat16):
        layer(torch.randn(len(cells), 4), sites).float().square().sum().backward()
    assert layer.conv.weight.grad is not None
    assert layer.conv.weight.grad.isfinite().all()


def test_folding_the_norm_changes_nothing_but_rounding(cells: np.ndarray) -> None:
    torch.manual_seed(0)
    layer = SparseConvNorm(4, 6)
    sites = PairMap.of(torch.from_numpy(neighbour_table(cells)), len(cells))
    x = torch.randn(len(cells), 4)
    for _ in range(3):
        layer(2 * x + 1, sites)
    layer.eval()
    expected = layer(x, sites)
    layer.fold()
    assert isinstance(layer.norm, torch.nn.Identity)
    torch.testing.assert_close(layer(x, sites), expected, rtol=1e-5, atol=1e-5)


def test_it_equals_spconv_on_one_thread_with_the_same_weights(cells: np.ndarray) -> None:
    spconv = pytest.importorskip('spconv.pytorch', reason='spconv is not installed')
    from spconv.core import ConvAlgo

    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # its CPU build is wrong on more
    try:
        x = torch.randn(len(cells), 5)
        indices = torch.from_numpy(np.concatenate((np.zeros((len(cells), 1)), cells), axis=1).astype(np.int32))
        sparse = spconv.SparseConvTensor(x, indices, [SIZE] * 3, 1)
        peers = [spconv.SubMConv3d(5, 7, 3, bias=False, indice_key='a', algo=ConvAlgo.Native),
                 spconv.SparseConv3d(7, 6, 2, stride=2, bias=False, indice_key='b', algo=ConvAlgo.Native),
                 spconv.SparseInverseConv3d(6, 5, 2, indice_key='b', bias=False, algo=ConvAlgo.Native)]
        with torch.no_grad():
            results = []
            for peer in peers:
                sparse = peer(sparse)
                results.append(sparse)
    finally:
        torch.set_num_threads(threads)
    coarse, down, _ = halve(cells)
    strided = PairMap.of(torch.from_numpy(down), len(cells))
    maps = [PairMap.of(torch.from_numpy(neighbour_table(cells)), len(cells)), strided, strided.transposed()]
    y = x
    for peer, sites, result in zip(peers, maps, results, strict=True):
        layer = SparseConv(peer.in_channels, peer.out_channels, tuple(peer.kernel_size))
        with torch.no_grad():
            layer.weight.copy_(peer.weight)
            y = layer(y, sites)
        order = np.lexsort(result.indices.numpy()[:, :0:-1].T)
        np.testing.assert_allclose(y, result.features[order], atol=1e-5)
    assert len(results[1].features) == len(coarse)


def test_spconv_is_refused_on_a_cpu_with_the_reason(cells: np.ndarray) -> None:
    sites = PairMap.of(torch.from_numpy(neighbour_table(cells)), len(cells))
    with pytest.raises(EngineError, match='wrong sums with more than one thread'):
        SpconvMap(sites)


@pytest.mark.parametrize('kernel', [(3, 3, 3), (1, 3, 3)])
def test_spconv_takes_our_pairs_and_weights(cells: np.ndarray, kernel: tuple[int, int, int]) -> None:
    """What runs on CUDA, run once on a CPU with one thread, where it is right; the refusal is passed by on purpose."""
    pytest.importorskip('spconv.pytorch', reason='spconv is not installed')
    torch.manual_seed(0)
    table = torch.from_numpy(neighbour_table(cells))
    down = torch.from_numpy(halve(cells)[1])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for pairs, layer in ((PairMap.of(table, len(cells)), SparseConv(5, 7, kernel)),
                             (PairMap.of(down, len(cells)), SparseConv(5, 6, (2, 2, 2)))):
            theirs = SpconvMap.__new__(SpconvMap)
            theirs._set(pairs, torch.device('cpu'))
            x = torch.randn(len(cells), 5)
            with torch.no_grad():
                torch.testing.assert_close(layer(x, theirs), layer(x, pairs), rtol=1e-5, atol=1e-5)
    finally:
        torch.set_num_threads(threads)
