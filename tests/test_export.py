from __future__ import annotations

import json
from copy import deepcopy

import numpy as np
import onnx
import pytest
import torch
from small_backbones import CLASSES, FAMILIES, PLAIN, SENSOR, small, street

from sam2amml_core.bundle import ModelBundle, Provenance, load_bundle
from sam2amml_core.errors import InputError
from sam2amml_core.frame import UNKNOWN, Frame, PointCloud
from sam2amml_core.labels import SEMANTIC_KITTI
from sam2amml_core.lidar.backbones.backbone import Backbone, PointBatch
from sam2amml_core.lidar.preparation import prepare
from sam2amml_core.segmenter import Segmenter
from training.export import export_bundle
from training.verification import BundleCheck, check_bundle


@pytest.fixture(scope='module', params=[family for family in FAMILIES if family != 'minkunet_add'])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Backbone, ModelBundle]:
    torch.manual_seed(0)
    network = small(request.param)
    with torch.no_grad():
        for seed in (1, 2):
            cloud = street(seed=seed)
            network(PointBatch.join([prepare(network.input_spec, cloud, SENSOR, PLAIN)], [cloud]))
    folder = tmp_path_factory.mktemp('models') / request.param
    return network.eval(), export_bundle(network, folder, request.param, SEMANTIC_KITTI, SENSOR, PLAIN, Provenance())


def test_the_graph_gives_the_scores_of_torch_for_any_number_of_points(exported: tuple[Backbone, ModelBundle]) -> None:
    network, bundle = exported
    found = check_bundle(network, bundle, [street(count, seed=count) for count in (1, 2, 50, 1000, 20_000)])
    assert found.sound
    assert found.max_logit_difference < 1e-5
    assert found.label_agreement == 1
    assert found.points == 21_053


def test_labels_at_half_precision_are_reported_class_by_class(exported: tuple[Backbone, ModelBundle]) -> None:
    network, bundle = exported
    found = check_bundle(network, bundle, [street(2000)])
    assert found.half_label_agreement is not None
    assert 0.9 < found.half_label_agreement <= 1
    assert set(found.half_agreement) <= set(SEMANTIC_KITTI.names[1:CLASSES + 1])
    assert found.half_agreement
    assert BundleCheck(**json.loads(found.write(bundle).read_text())) == found


def test_the_bundle_labels_a_sweep_like_the_network(exported: tuple[Backbone, ModelBundle]) -> None:
    network, bundle = exported
    cloud = street(3000, 5)
    xyz = np.insert(cloud.xyz, 7, np.nan, axis=0)
    labels = Segmenter.open(bundle.path, 'cpu', 1).segment(Frame(PointCloud(xyz, np.insert(cloud.intensity, 7, 0))))
    with torch.no_grad():
        logits = network(PointBatch.join([prepare(network.input_spec, cloud, SENSOR, PLAIN)], [cloud])).logits
    assert labels.class_id[7] == UNKNOWN
    np.testing.assert_array_equal(np.delete(labels.class_id, 7), logits.argmax(1).numpy() + 1)
    np.testing.assert_allclose(np.delete(labels.probability, 7), logits.softmax(1).amax(1).numpy(), atol=1e-5)


def test_how_to_prepare_a_sweep_travels_with_the_bundle(exported: tuple[Backbone, ModelBundle]) -> None:
    network, bundle = exported
    assert load_bundle(bundle.path).input == network.input_spec


def test_a_graph_of_other_weights_is_found_out(exported: tuple[Backbone, ModelBundle]) -> None:
    network, bundle = deepcopy(exported[0]), exported[1]
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(1.05)
    found = check_bundle(network, bundle, [street(500)], half=False)
    assert not found.sound
    assert found.half_label_agreement is None
    with pytest.raises(InputError, match='no sweep has a point'):
        check_bundle(network, bundle, [PointCloud(np.full((3, 3), np.nan, np.float32), np.zeros(3, np.float32))])


def test_no_weight_is_lost_or_doubled(exported: tuple[Backbone, ModelBundle]) -> None:
    """A graph that stores a weight once per use would grow with the number of its taps."""
    network, bundle = exported
    stored = sum(int(np.prod(t.dims)) for t in onnx.load(bundle.onnx_path).graph.initializer if t.data_type == 1)
    weights = sum(p.numel() for p in network.parameters())
    assert 0.7 * weights < stored < 1.5 * weights + 4096
