from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from dataclasses import replace  # noqa: E402

from sam2amml_core.bundle import Provenance, SensorGeometry, load_bundle, shipped_bundles  # noqa: E402
from sam2amml_core.errors import BundleError  # noqa: E402
from sam2amml_core.frame import UNKNOWN, Frame, PointCloud  # noqa: E402
from sam2amml_core.labels import SEMANTIC_KITTI  # noqa: E402
from sam2amml_core.lidar.backbones.frustum_range_net import FrustumRangeNet, FrustumRangeNetConfig  # noqa: E402
from sam2amml_core.lidar.backbones.range_backbone import RangeBackbone  # noqa: E402
from sam2amml_core.lidar.range_view import make_range_view  # noqa: E402
from sam2amml_core.segmenter import Segmenter, fit_warnings  # noqa: E402
from training.export import export_bundle  # noqa: E402
from training.recipe_files import find_recipe  # noqa: E402

NORMALISATION = find_recipe('street64').normalisation
SMALL = FrustumRangeNetConfig(height=16, width=64, channels=(8, 16), blocks=(1, 1))
SENSOR = SensorGeometry(beams=16, fov_up_deg=3, fov_down_deg=-25, image_height=16, image_width=64, sensor_height_m=1.7)


def street(count: int = 5000, seed: int = 0) -> PointCloud:
    """Points on flat ground and on things that stand on it, with beams."""
    random = np.random.default_rng(seed)
    azimuth = random.uniform(-np.pi, np.pi, count)
    ring = random.integers(0, 16, count)
    elevation = np.deg2rad(-24 + ring * 1.7)
    to_ground = np.where(elevation < 0, 1.7 / np.sin(-np.minimum(elevation, -1e-3)), 40)
    distance = np.minimum(random.uniform(4, 40, count), to_ground)
    xyz = np.stack([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)], 1)
    return PointCloud((xyz * distance[:, None]).astype(np.float32), random.random(count).astype(np.float32),
                      ring=ring.astype(np.uint16))


@pytest.fixture(scope='module')
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[FrustumRangeNet, Path]:
    torch.manual_seed(0)
    backbone = RangeBackbone(SMALL)
    net = backbone.network.eval()
    folder = tmp_path_factory.mktemp('models') / 'small'
    export_bundle(backbone, folder, 'small', SEMANTIC_KITTI, SENSOR, NORMALISATION, Provenance())
    return net, folder


@pytest.fixture
def segmenter(model: tuple[FrustumRangeNet, Path]) -> Segmenter:
    return Segmenter.open(model[1], 'cpu', threads=1)


def test_labels_are_those_of_the_network_in_the_order_of_the_cloud(
        model: tuple[FrustumRangeNet, Path], segmenter: Segmenter) -> None:
    cloud = street()
    view = make_range_view(cloud, SENSOR, NORMALISATION)
    assert view.valid.all()
    with torch.no_grad():
        probability = model[0](torch.from_numpy(view.features), torch.from_numpy(view.pixel)).softmax(1).numpy()
    labels = segmenter.segment(Frame(cloud))
    assert labels.class_id.dtype == np.uint8
    assert labels.probability.dtype == np.float32
    clear = np.partition(probability, -2, axis=1)[:, -2] < probability.max(1) - 1e-4
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(labels.class_id[clear], probability.argmax(1)[clear] + 1)
    np.testing.assert_allclose(labels.probability, probability.max(1), atol=1e-5)
    assert set(labels.stage_ms) == {'preprocess', 'inference', 'postprocess'}
    assert all(ms >= 0 for ms in labels.stage_ms.values())


def test_points_that_cannot_be_labelled_stay_unknown_and_change_no_other(segmenter: Segmenter) -> None:
    clean = street(3000)
    bad = np.arange(0, 6000, 2)
    xyz = np.full((6000, 3), np.nan, np.float32)
    intensity = np.zeros(6000, np.float32)
    good = np.setdiff1d(np.arange(6000), bad)
    xyz[good], intensity[good] = clean.xyz, clean.intensity
    xyz[bad[0]], xyz[bad[1]], xyz[bad[2]] = (np.inf, 0, 0), (0, 0, 30), (500, 0, 0)
    mixed = segmenter.segment(Frame(PointCloud(xyz, intensity)))
    expected = segmenter.segment(Frame(clean))
    assert (mixed.class_id[bad] == UNKNOWN).all()
    assert (mixed.probability[bad] == 0).all()
    np.testing.assert_array_equal(mixed.class_id[good], expected.class_id)
    assert (expected.class_id != UNKNOWN).all()


@pytest.mark.parametrize('xyz', [np.zeros((0, 3)), np.full((50, 3), np.nan), np.zeros((5, 3))])
def test_a_sweep_without_a_usable_point_is_answered_with_unknown(segmenter: Segmenter, xyz: np.ndarray) -> None:
    labels = segmenter.segment(Frame(PointCloud(xyz.astype(np.float32), np.zeros(len(xyz), np.float32))))
    assert labels.class_id.shape == labels.probability.shape == (len(xyz),)
    assert (labels.class_id == UNKNOWN).all()


def test_one_point_is_enough(segmenter: Segmenter) -> None:
    labels = segmenter.segment(Frame(PointCloud(np.array([[10, 0, -1]], np.float32), np.zeros(1, np.float32))))
    assert 1 <= labels.class_id[0] <= 19


def test_the_same_sweep_gets_the_same_labels(segmenter: Segmenter) -> None:
    frame = Frame(street(seed=3))
    first, second = segmenter.segment(frame), segmenter.segment(frame)
    np.testing.assert_array_equal(first.class_id, second.class_id)


def fit(cloud: PointCloud) -> set[str]:
    return set(fit_warnings(cloud, make_range_view(cloud, SENSOR, NORMALISATION), SENSOR))


def test_a_fitting_sweep_is_not_complained_about() -> None:
    assert fit(street()) == set()


def test_what_does_not_fit_the_sensor_geometry_is_named() -> None:
    cloud = street()
    assert fit(replace(cloud, intensity=cloud.intensity * 255)) == {'intensity'}
    assert cloud.ring is not None
    assert fit(replace(cloud, ring=cloud.ring * 4)) == {'beams'}
    assert 'height' in fit(replace(cloud, xyz=cloud.xyz + np.array([0, 0, 3], np.float32)))
    assert 'field of view' in fit(replace(cloud, xyz=np.ascontiguousarray(cloud.xyz[:, [2, 1, 0]])))
    assert fit(replace(cloud, xyz=np.full_like(cloud.xyz, np.nan))) == {'empty'}


def test_a_warning_is_given_once(segmenter: Segmenter, caplog: pytest.LogCaptureFixture) -> None:
    cloud = street()
    loud = Frame(replace(cloud, intensity=cloud.intensity * 255))
    with caplog.at_level(logging.WARNING):
        for _ in range(250):
            segmenter.segment(loud)
    assert sum('intensity reaches' in r.message for r in caplog.records) == 1


def test_a_missing_model_is_named() -> None:
    with pytest.raises(BundleError, match='atlantis'):
        Segmenter.open('atlantis')


@pytest.mark.parametrize('name', shipped_bundles())
def test_shipped_models_tell_ground_from_what_stands_on_it(name: str) -> None:
    """A plane and a wall, 64 or 32 beams, with no intensity: the crudest street there is."""
    sensor = load_bundle(name).sensor
    rows = np.deg2rad(np.linspace(sensor.fov_up_deg - 1, sensor.fov_down_deg + 1, sensor.beams))
    azimuth, elevation = (a.ravel() for a in np.meshgrid(np.linspace(-np.pi, np.pi, 1024, endpoint=False), rows))
    flat_part = np.cos(elevation)
    direction = np.stack([flat_part * np.cos(azimuth), flat_part * np.sin(azimuth), np.sin(elevation)], -1)
    with np.errstate(divide='ignore'):
        to_ground = np.where(direction[:, 2] < 0, -sensor.sensor_height_m / direction[:, 2], np.inf)
        to_wall = 9 / np.abs(direction[:, 1])
    distance = np.minimum(to_ground, to_wall)
    kept = distance < 60
    wall = (to_wall < to_ground)[kept]
    xyz = (direction[kept] * distance[kept, None]).astype(np.float32)
    xyz += np.random.default_rng(0).normal(0, 0.01, xyz.shape).astype(np.float32)
    found = Segmenter.open(name, 'cpu', 1).segment(Frame(PointCloud(xyz, np.zeros(len(xyz), np.float32)))).class_id
    names = SEMANTIC_KITTI.names
    flat = [names.index(n) for n in ('road', 'parking', 'sidewalk', 'other-ground', 'terrain')]
    assert np.isin(found[~wall], flat).mean() > 0.9
    assert np.isin(found[wall], flat).mean() < 0.1
