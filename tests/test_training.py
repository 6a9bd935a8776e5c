from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from sam2amml_core.bundle import SensorGeometry  # noqa: E402
from sam2amml_core.errors import InputError  # noqa: E402
from sam2amml_core.frame import Frame, PointCloud  # noqa: E402
from sam2amml_core.lidar.backbones.frustum_range_net import FrustumRangeNetConfig  # noqa: E402
from sam2amml_core.losses.segmentation import class_weights, cross_entropy, lovasz_softmax  # noqa: E402
from training.batches import TrainingBatches, balanced_shares, stream  # noqa: E402
from training.boxes import Box, kitti_boxes  # noqa: E402
from training.recipe import STREET64, find_recipe  # noqa: E402
from training.sweep_cache import CachedSweeps, save_sweep, world_to_train  # noqa: E402
from training.trainer import Average, Schedule, Trainer, one_cycle, read_checkpoint  # noqa: E402
from training.world.classes import WORLD_ID  # noqa: E402
from training.world.sweep import SyntheticSweep  # noqa: E402

TINY = replace(
    STREET64, batch=2, loss_points=2000, lovasz_points=1000,
    sensor=SensorGeometry(beams=16, fov_up_deg=3, fov_down_deg=-25, image_height=16, image_width=64,
                          sensor_height_m=1.7),
    network=FrustumRangeNetConfig(height=16, width=64, channels=(8, 16), blocks=(1, 1), point_channels=8))


def tiny_sweep(seed: int) -> SyntheticSweep:
    """Road, and boxes called cars on it, seen by 16 beams."""
    random = np.random.default_rng(seed)
    rows = np.deg2rad(np.linspace(1, -24, 16))
    azimuth, elevation = (a.ravel() for a in np.meshgrid(np.linspace(3.14, -3.14, 256), rows))
    flat_part = np.cos(elevation)
    direction = np.stack([flat_part * np.cos(azimuth), flat_part * np.sin(azimuth), np.sin(elevation)], -1)
    ground = np.where(direction[:, 2] < -0.02, -1.7 / np.minimum(direction[:, 2], -0.02), 60)
    car = np.abs(np.mod(azimuth * 3 + random.uniform(0, 6), 6.28) - 3) < 0.8
    distance = np.where(car, np.minimum(ground, random.uniform(6, 12)), ground)
    kept = distance < 60
    is_car = (distance < ground)[kept]
    cloud = PointCloud((direction * distance[:, None])[kept].astype(np.float32), np.full(kept.sum(), 0.3, np.float32),
                       ring=np.repeat(np.arange(15, -1, -1), 256)[kept].astype(np.uint16))
    classes = np.where(is_car, WORLD_ID['car'], WORLD_ID['road']).astype(np.uint8)
    return SyntheticSweep(Frame(cloud), classes, np.zeros(len(cloud), np.uint16), (), (), np.eye(4), np.eye(4))


@pytest.fixture(scope='module')
def sweeps(tmp_path_factory: pytest.TempPathFactory) -> CachedSweeps:
    folder = tmp_path_factory.mktemp('sweeps')
    for seed in range(4):
        save_sweep(folder / f'sweep_{seed}.npz', tiny_sweep(seed))
    return CachedSweeps(folder, 'semantic_kitti')


def trainer(sweeps: CachedSweeps, folder: Path, steps: int) -> Trainer:
    batches = TrainingBatches(sweeps, TINY, 0, steps)
    weights = torch.from_numpy(class_weights(batches.counts.sum(axis=0)[1:]))
    schedule = Schedule(steps, log_every=5)
    return Trainer(TINY, batches, weights, folder, schedule, bfloat16=False)


def test_the_loss_falls_and_is_logged(sweeps: CachedSweeps, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    trainer(sweeps, tmp_path / 'run', 60).run(workers=0)
    with (tmp_path / 'run' / 'log.csv').open(encoding='utf-8') as stream_:
        rows = list(csv.DictReader(stream_))
    assert [int(r['step']) for r in rows] == list(range(5, 65, 5))
    first, last = (float(np.mean([float(r['cross_entropy']) for r in part])) for part in (rows[:2], rows[-3:]))
    assert last < 0.6 * first
    assert float(rows[-1]['accuracy']) > 0.7


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(sweeps: CachedSweeps, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    whole = trainer(sweeps, tmp_path / 'whole', 8)
    whole.run(workers=0)
    half = trainer(sweeps, tmp_path / 'parts', 8)
    half.batches.steps = 4
    half.run(workers=0)
    assert half.step == 4
    rest = trainer(sweeps, tmp_path / 'parts', 8)
    assert rest.resume()
    assert rest.step == 4
    rest.run(workers=0)
    for name, value in whole.average.network.state_dict().items():
        np.testing.assert_allclose(value, rest.average.network.state_dict()[name], rtol=1e-3, atol=1e-4, err_msg=name)


def test_a_run_cannot_be_resumed_where_there_is_none(sweeps: CachedSweeps, tmp_path: Path) -> None:
    assert not trainer(sweeps, tmp_path / 'nothing', 4).resume()


def test_a_checkpoint_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / 'last.pt').write_bytes(b'torn')
    with pytest.raises(InputError, match=r'last\.pt'):
        read_checkpoint(tmp_path / 'last.pt')


def test_batches_prepared_in_the_background_equal_those_made_here(sweeps: CachedSweeps) -> None:
    batches = TrainingBatches(sweeps, TINY, seed=5, steps=3)
    for step, batch in enumerate(stream(batches, 0, workers=1)):
        expected = batches[step]
        torch.testing.assert_close(batch.features, expected.features)
        torch.testing.assert_close(batch.pixel, expected.pixel)
        assert batch.sweeps == 2
        assert batch.pixel.max() < 2 * TINY.sensor.pixels


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


def test_an_unknown_recipe_lists_the_known() -> None:
    with pytest.raises(InputError, match='street64'):
        find_recipe('street128')


def test_the_learning_rate_makes_one_cycle() -> None:
    values = [one_cycle(p) for p in np.linspace(0, 1, 101)]
    peak = int(np.argmax(values))
    assert values[0] == pytest.approx(0.1)
    assert max(values) == pytest.approx(1, abs=0.01)
    assert values[-1] == pytest.approx(0.01)
    assert (np.diff(values[:peak + 1]) > 0).all()
    assert (np.diff(values[peak:]) < 0).all()


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
