from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('lightning')

from tiny_runs import tiny_data, tiny_recipe, tiny_sweep  # noqa: E402

from sam2amml_core.errors import InputError  # noqa: E402
from sam2amml_core.lidar.backbones.catalogue import create  # noqa: E402
from sam2amml_core.losses.segmentation import class_weights, cross_entropy, lovasz_softmax  # noqa: E402
from sam2amml_core.losses.segmentation_mean import mean_cross_entropy, mean_lovasz_softmax  # noqa: E402
from training.averaging import Average  # noqa: E402
from training.batches import balanced_shares, class_counts  # noqa: E402
from training.boxes import Box, kitti_boxes  # noqa: E402
from training.calibration import add_bias  # noqa: E402
from training.datasets.open import open_split  # noqa: E402
from training.sweep_cache import CachedSweeps, save_sweep, world_to_train  # noqa: E402
from training.world.classes import WORLD_ID  # noqa: E402


def test_sweeps_with_rare_classes_are_drawn_more_often() -> None:
    counts = np.array([[900, 0, 0], [900, 100, 0], [900, 0, 0], [900, 10, 0]])  # class 2 in one sweep, class 3 in none
    shares = balanced_shares(counts)
    # half evenly, a quarter for class 1 in all four, a quarter for class 2 in the second
    np.testing.assert_allclose(shares, np.array([0, 0.25, 0, 0]) + 0.125 + 0.0625)
    np.testing.assert_allclose(balanced_shares(np.zeros((4, 3), int)), 0.25)


def test_world_classes_become_train_ids() -> None:
    table = world_to_train('semantic_kitti')
    names = ('nothing', 'car', 'lane-marking', 'bus', 'traffic-sign')
    assert [int(table[WORLD_ID[n]]) for n in names] == [0, 1, 9, 5, 19]


def test_points_that_are_not_finite_are_left_out_of_the_cache(tmp_path: Path) -> None:
    broken = tiny_sweep(0)
    broken.frame.cloud.xyz[::2] = np.nan
    save_sweep(tmp_path / 'broken.npz', broken)
    found = CachedSweeps(tmp_path, 'semantic_kitti')[0]
    assert len(found) == len(broken.point_class) // 2
    assert np.isfinite(found.xyz).all()


def test_an_empty_cache_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='no cached sweeps'):
        CachedSweeps(tmp_path, 'semantic_kitti')


def test_counts_of_classes_are_kept_for_the_same_scans(tmp_path: Path) -> None:
    data = open_split(tiny_data(tmp_path / 'data'), 'train')
    counts = class_counts(data, tmp_path / 'counts.npz')
    assert counts.shape == (4, 20) and counts.sum() == sum(data.points(i) for i in range(4))
    assert (counts[:, [1, 9]] > 0).all() and counts.sum(axis=0)[[1, 9]].sum() == counts.sum()
    (tmp_path / 'data' / 'train' / 'world_00000_00.npz').write_bytes(b'torn')
    np.testing.assert_array_equal(class_counts(data, tmp_path / 'counts.npz'), counts)  # not read again
    assert class_counts(data)[0].sum() == 0


def test_the_average_follows_slowly() -> None:
    network = torch.nn.Linear(1, 1, bias=False)
    average = Average(network, 0.9)
    before = average.network.state_dict()['weight'].item()
    with torch.no_grad():
        network.weight.fill_(10)
    average.update(network)
    after = average.network.state_dict()['weight'].item()
    assert after == pytest.approx(before + (10 - before) * (1 - 2 / 11), rel=1e-4)


def test_rare_classes_weigh_more_and_the_mean_over_points_is_one() -> None:
    counts = np.array([10_000, 100, 0])
    weights = class_weights(counts)
    assert weights[1] / weights[0] == pytest.approx(10, rel=1e-3)
    assert weights[2] == pytest.approx(20 * weights[0], rel=1e-3)
    assert (weights * counts).sum() / counts.sum() == pytest.approx(1, rel=1e-3)


def test_lovasz_of_hard_answers_is_one_minus_iou() -> None:
    """With probabilities of 0 or 1 the surrogate is the Jaccard loss itself."""
    label = torch.tensor([1, 1, 1, 2, 2, 0])
    said = torch.tensor([1, 1, 2, 2, 1, 1])
    scores = torch.nn.functional.one_hot(said - 1, 2) * 100.0
    expected = ((1 - 2 / 4) + (1 - 1 / 3)) / 2
    assert float(lovasz_softmax(scores, label)) == pytest.approx(expected, abs=1e-5)


def test_means_over_sweeps_do_not_depend_on_who_shares_the_batch() -> None:
    generator = torch.Generator().manual_seed(0)
    scores, label = torch.randn(50, 4, generator=generator), torch.randint(5, (50,), generator=generator)
    rows = (torch.arange(0, 30), torch.arange(30, 50))
    weight = torch.tensor([1.0, 2, 3, 4])
    both = mean_cross_entropy(scores, label, rows, weight)
    torch.testing.assert_close(both, sum(cross_entropy(scores[r], label[r], weight) for r in rows) / 2)
    both = mean_lovasz_softmax(scores, label, rows, 10)
    torch.testing.assert_close(both, sum(lovasz_softmax(scores[r[:10]], label[r[:10]]) for r in rows) / 2)
    nothing = mean_cross_entropy(scores, torch.zeros(50, dtype=torch.long), rows, weight)
    assert float(nothing) == 0


def test_a_bias_becomes_part_of_any_classifier() -> None:
    recipe = tiny_recipe(Path())
    bias = np.arange(19, dtype=np.float32)
    for name in ('frustum_range_net', 'minkunet18_small', 'waffle_iron', 'cylinder_unet_small'):
        network = create(name, 19, recipe.sensor)
        before = [p.detach().clone() for n, p in network.named_parameters() if n.endswith('classifier.bias')]
        add_bias(network, bias)
        after = [p for n, p in network.named_parameters() if n.endswith('classifier.bias')]
        np.testing.assert_allclose((after[0] - before[0]).detach(), bias, atol=1e-5)


def test_losses_ignore_unlabeled_points() -> None:
    scores = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    label = torch.arange(20) % 4
    known = label > 0
    weight = torch.ones(3)
    torch.testing.assert_close(cross_entropy(scores, label, weight), cross_entropy(scores[known], label[known], weight))
    torch.testing.assert_close(lovasz_softmax(scores, label), lovasz_softmax(scores[known], label[known]))
    assert float(lovasz_softmax(scores, torch.zeros(20, dtype=torch.long))) == 0


def test_a_box_holds_what_is_inside_above_its_floor() -> None:
    c, s = np.cos(np.pi / 2), np.sin(np.pi / 2)
    box = Box('car', np.array([10.0, 0, 0]), np.array([4.0, 2.0, 1.6]), np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]))
    points = np.array([[10, 0, 0], [10, 1.9, 0], [10, 2.1, 0], [10.9, 0, 0], [11.1, 0, 0], [10, 0, -0.7],
                       [10, 0, 0.79]])
    assert box.contains(points).tolist() == [True, True, False, True, False, False, True]


def test_a_kitti_box_is_moved_to_the_lidar_frame(tmp_path: Path) -> None:
    (tmp_path / 'calib.txt').write_text(
        'R0_rect: 1 0 0 0 1 0 0 0 1\nTr_velo_to_cam: 0 -1 0 0 0 0 -1 0 1 0 0 0\n')  # camera at the LiDAR
    (tmp_path / 'label_2.txt').write_text('Car 0 0 0 0 0 0 0 1.5 1.6 4.0 2.0 1.7 20.0 -1.5707963\nDontCare -1\n')
    (box,) = kitti_boxes(tmp_path / 'label_2.txt', tmp_path / 'calib.txt')
    np.testing.assert_allclose(box.centre, [20, -2, -0.95], atol=1e-6)  # ahead, to the right, resting at -1.7
    np.testing.assert_allclose(np.abs(box.axes[:, 0]), [1, 0, 0], atol=1e-6)  # its length points ahead
    np.testing.assert_allclose(box.axes[:, 2], [0, 0, 1], atol=1e-6)


def test_a_calibration_without_a_matrix_is_named(tmp_path: Path) -> None:
    (tmp_path / 'calib.txt').write_text('P2: 1 0 0 0 0 1 0 0 0 0 1 0\n')
    (tmp_path / 'label_2.txt').write_text('')
    with pytest.raises(InputError, match='R0_rect'):
        kitti_boxes(tmp_path / 'label_2.txt', tmp_path / 'calib.txt')
