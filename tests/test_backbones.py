from __future__ import annotations

import inspect
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from small_backbones import CLASSES, FAMILIES, PLAIN, SENSOR, small, street
from torch.nn import functional as F
from voxel_adapter import TheirNetwork, VoxelAdapter

from sam2amml_core.bundle import SensorGeometry
from sam2amml_core.errors import EngineError, InputError
from sam2amml_core.frame import PointCloud
from sam2amml_core.lidar.backbones import catalogue
from sam2amml_core.lidar.backbones.backbone import Backbone, PointBatch, Prediction
from sam2amml_core.lidar.backbones.cylinder_unet import CylinderUNet
from sam2amml_core.lidar.backbones.minkunet import MinkUNet
from sam2amml_core.lidar.input_spec import CylinderInput, RangeInput, TokenInput, VoxelInput
from sam2amml_core.lidar.preparation import cylinder_grid, input_names, prepare


def batch_of(network: Backbone, *clouds: PointCloud) -> PointBatch:
    return PointBatch.join([prepare(network.input_spec, cloud, SENSOR, PLAIN) for cloud in clouds], clouds)


@pytest.fixture(scope='module', params=FAMILIES)
def network(request: pytest.FixtureRequest) -> Backbone:
    """A small network whose batch norms have seen something."""
    torch.manual_seed(0)
    made = small(request.param)
    with torch.no_grad():
        for seed in (1, 2):
            made(batch_of(made, street(seed=seed)))
    return made.eval()


def predict(network: Backbone, *clouds: PointCloud) -> Prediction:
    with torch.no_grad():
        return network(batch_of(network, *clouds))


def test_every_point_gets_scores_and_features(network: Backbone) -> None:
    found = predict(network, street())
    assert found.logits.shape == (700, CLASSES)
    assert found.features.shape == (700, network.feature_channels)
    assert found.logits.isfinite().all()
    assert found.logits.std(0).min() > 0


def test_the_order_of_the_points_does_not_matter(network: Backbone) -> None:
    cloud = street()
    order = np.random.default_rng(5).permutation(len(cloud))
    shuffled = PointCloud(cloud.xyz[order], cloud.intensity[order])
    torch.testing.assert_close(predict(network, shuffled).logits, predict(network, cloud).logits[order],
                               rtol=1e-4, atol=1e-5)


def test_a_sweep_gets_the_same_scores_alone_and_in_a_batch(network: Backbone) -> None:
    clouds = street(), street(300, 8), street(seed=9)
    batch = batch_of(network, *clouds)
    assert batch.points.shape == (1700, 4)
    np.testing.assert_array_equal(np.bincount(batch.sweep), [700, 300, 700])
    with torch.no_grad():
        together = network(batch).logits.split([700, 300, 700])
    for part, cloud in zip(together, clouds, strict=True):
        torch.testing.assert_close(part, predict(network, cloud).logits, rtol=1e-4, atol=1e-5)


def test_gradients_reach_every_weight(network: Backbone) -> None:
    fresh = small(next(f for f in FAMILIES if repr(small(f)) == repr(network)))
    batch = batch_of(fresh, street(), street(seed=3))
    label = torch.randint(CLASSES, (len(batch.sweep),), generator=torch.Generator().manual_seed(0))
    F.cross_entropy(fresh(batch).logits, label).backward()
    still = [name for name, p in fresh.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not still


def test_points_that_cannot_be_labelled_change_no_other(network: Backbone) -> None:
    cloud = street()
    bad = np.array([[np.nan, 0, 0], [np.inf, 1, 1], [0, 0, 0.1], [900, 0, 0]], np.float32)
    mixed = PointCloud(np.concatenate((bad, cloud.xyz)), np.append(np.zeros(4, np.float32), cloud.intensity))
    prepared = prepare(network.input_spec, mixed, SENSOR, PLAIN)
    assert prepared.points == 700
    assert not prepared.valid[:4].any()
    torch.testing.assert_close(predict(network, mixed).logits, predict(network, cloud).logits)


@pytest.mark.parametrize('family', ['minkunet', 'cylinder'])
def test_spconv_is_refused_on_a_cpu_also_for_whole_networks(family: str) -> None:
    refused = small(family)
    if not isinstance(refused, MinkUNet | CylinderUNet):
        raise TypeError
    refused.form = 'spconv'
    with pytest.raises(EngineError, match='spconv is refused on a CPU'):
        refused(batch_of(refused, street(50)))


def test_folding_changes_nothing_but_rounding(network: Backbone) -> None:
    folded = deepcopy(network)
    folded.fold()
    torch.testing.assert_close(predict(folded, street()).logits, predict(network, street()).logits,
                               rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('count', [1, 2])
def test_a_few_points_are_enough(network: Backbone, count: int) -> None:
    assert predict(network, street(count)).logits.isfinite().all()


@pytest.mark.parametrize('spec', [RangeInput(), VoxelInput(halvings=2), CylinderInput(), TokenInput()])
def test_the_arrays_are_those_that_are_announced(spec: RangeInput | VoxelInput | CylinderInput | TokenInput) -> None:
    prepared = prepare(spec, street(), SENSOR, PLAIN)
    assert tuple(prepared.inputs) == input_names(spec)
    for name, values in prepared.inputs.items():
        reference = prepared.references.get(name)
        if reference is not None:
            assert values.min() >= 0
            assert values.max() < reference.rows + reference.none


def test_cylinder_cells_are_those_of_radius_azimuth_and_height() -> None:
    xyz = np.array([[10, 0, 0], [0, 10, 0], [-10, -1e-6, -9], [300, 0, 1.99]], np.float32)
    values, grid = cylinder_grid(CylinderInput(cells=(100, 4, 6)), xyz, np.zeros(4, np.float32))
    np.testing.assert_array_equal(grid.cells[grid.index], [[20, 2, 4], [20, 3, 4], [20, 0, 0], [99, 2, 5]])
    np.testing.assert_allclose(values[0, :3], [-0.25, -np.pi / 4, -0.5], atol=1e-5)


@pytest.mark.parametrize('name', catalogue.NAMES)
def test_every_name_makes_a_network(name: str) -> None:
    with torch.device('meta'):
        network = catalogue.create(name, 19, SENSOR)
    weights = sum(p.numel() for p in network.parameters()) / 1e6
    published = {'minkunet18': 21.7, 'minkunet34': 37.9, 'cylinder_unet': 55.8, 'frustum_range_net_full': 10.0,
                 'waffle_iron_full': 6.84}
    assert weights == pytest.approx(published.get(name, weights), rel=0.01)


def test_a_backbone_that_cannot_be_made_is_refused_with_the_reason() -> None:
    with pytest.raises(InputError, match='no backbone .vggnet.*minkunet18'):
        catalogue.create('vggnet', 19, SENSOR)
    with pytest.raises(InputError, match='multiples of 8'):
        catalogue.create('frustum_range_net', 19, SensorGeometry(
            beams=16, fov_up_deg=3, fov_down_deg=-25, image_height=20, image_width=64, sensor_height_m=1.7))


def test_the_documented_adapter_serves_somebody_elses_network() -> None:
    torch.manual_seed(0)
    adapter = VoxelAdapter(TheirNetwork(CLASSES), CLASSES, 16, voxel_m=0.5).eval()
    clouds = street(), street(300, 8)
    batch = batch_of(adapter, *clouds)
    with torch.no_grad():
        found = adapter(batch)
    assert found.logits.shape == (1000, CLASSES)
    assert found.features.shape == (1000, 16)
    cell = np.floor(batch.points[:, :3].numpy() / 0.5)
    _, same = np.unique(np.column_stack((batch.sweep, cell)), axis=0, return_inverse=True)
    for group in np.unique(same)[:50]:
        assert len(np.unique(found.logits.numpy()[same.ravel() == group], axis=0)) == 1
    for cloud, part in zip(clouds, found.logits.split([700, 300]), strict=True):
        torch.testing.assert_close(part, predict(adapter, cloud).logits)
    text = (Path(__file__).parent.parent / 'docs' / 'backbones.md').read_text(encoding='utf-8')
    code = inspect.getsource(VoxelAdapter.forward)
    assert code.strip() in '\n'.join(line for line in text.splitlines())
