from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from small_backbones import CLASSES, FAMILIES, PLAIN, SENSOR, small, street

from sam2amml_core.bundle import ModelBundle, Provenance, load_bundle, shipped_bundles
from sam2amml_core.errors import InputError
from sam2amml_core.frame import UNKNOWN, Frame, PointCloud
from sam2amml_core.labels import SEMANTIC_KITTI
from sam2amml_core.lidar.backbones.backbone import Backbone, PointBatch
from sam2amml_core.lidar.preparation import prepare
from sam2amml_core.segmenter import Segmenter
from training.export import export_bundle
from training.verification import BundleCheck, check_bundle

REAL = Path(__file__).parents[2] / 'shared' / 'data' / 'semantic_kitti_00_000000' / '000000.bin'


@pytest.fixture(scope='module', params=[family for family in FAMILIES if family != 'minkunet'])
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


@pytest.mark.skipif(not REAL.is_file(), reason='needs ../shared/data/semantic_kitti_00_000000')
def test_the_graph_gives_the_scores_of_torch_on_a_real_sweep(exported: tuple[Backbone, ModelBundle]) -> None:
    network, bundle = exported
    points = np.fromfile(REAL, np.float32).reshape(-1, 4)
    cloud = PointCloud(np.ascontiguousarray(points[:, :3]), np.ascontiguousarray(points[:, 3]))
    found = check_bundle(network, bundle, [cloud])
    assert found.points > 100_000
    assert found.max_logit_difference < 1e-4
    assert found.label_agreement > 0.9999
    assert found.half_label_agreement is not None
    assert found.half_label_agreement > 0.98


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


def documented_operators() -> set[str]:
    """First column of the last table of docs/engines.md."""
    text = (Path(__file__).parent.parent / 'docs' / 'engines.md').read_text(encoding='utf-8')
    table = text.split('| operator | types | restrictions |')[1].splitlines()[2:]
    return {line.split('|')[1].strip() for line in table if line.startswith('|')}


def outside_tensorrt(model: onnx.ModelProto) -> list[str]:
    """What of a graph TensorRT's parser does not document as supported; see docs/engines.md."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    constant = {t.name for t in graph.initializer} | {n.output[0] for n in graph.node if n.op_type == 'Constant'}
    kinds = {v.name: v.type.tensor_type.elem_type for v in (*graph.value_info, *graph.input, *graph.output)}
    wrong = []
    for node in graph.node:
        values = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        if node.domain not in ('', 'ai.onnx') or node.op_type not in documented_operators():
            wrong.append(f'{node.domain}:{node.op_type}')
        axes = {'ReduceMax': 1, 'ReduceSum': 1, 'ReduceMean': 1, 'Unsqueeze': 1, 'Squeeze': 1, 'Slice': 3}
        place = axes.get(node.op_type, 99)
        if place < len(node.input) and node.input[place] and node.input[place] not in constant:
            wrong.append(f'{node.op_type} with axes that are computed')
        if node.op_type == 'Cast' and values['to'] == onnx.TensorProto.UINT8 and kinds[node.input[0]] not in (1, 10):
            wrong.append('Cast to UINT8 from other than FP32 and FP16')
        coordinates = values.get('coordinate_transformation_mode', b'half_pixel')
        if node.op_type == 'Resize' and (values.get('mode', b'nearest') not in (b'nearest', b'linear')
                                         or coordinates == b'tf_crop_and_resize'):
            wrong.append(f'Resize {values}')
    return wrong


def test_the_graph_stays_inside_what_tensorrt_documents(exported: tuple[Backbone, ModelBundle]) -> None:
    model = onnx.load(exported[1].onnx_path)
    assert outside_tensorrt(model) == []
    assert model.opset_import[0].version == 18
    assert all(i.type.tensor_type.shape.dim[0].dim_param for i in model.graph.input)


@pytest.mark.parametrize('name', shipped_bundles())
def test_shipped_graphs_do_so_but_for_their_class_ids(name: str) -> None:
    assert outside_tensorrt(onnx.load(load_bundle(name).onnx_path)) == ['Cast to UINT8 from other than FP32 and FP16']


def test_a_graph_outside_is_recognised() -> None:
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node('NonZero', ['x'], ['y'])], 'outside',
        [onnx.helper.make_tensor_value_info('x', 1, ['points'])],
        [onnx.helper.make_tensor_value_info('y', 7, [1, None])])
    assert outside_tensorrt(onnx.helper.make_model(graph)) == [':NonZero']
