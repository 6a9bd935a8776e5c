from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

pytest.importorskip('torch', reason='the network needs torch (extra [train])')

import torch

from sam2amml_core.lidar.backbones.frustum_range_net import (
    CircularConv,
    FrustumRangeNet,
    FrustumRangeNetConfig,
    scatter,
)
from sam2amml_core.lidar.backbones.range_backbone import RangeBackbone
from training.export import export_onnx

SMALL = FrustumRangeNetConfig(height=16, width=32, classes=5, channels=(8, 12, 16), blocks=(1, 1, 1), head_channels=12)


def network(seed: int = 0) -> FrustumRangeNet:
    """A network whose batch norms hold statistics other than the initial ones."""
    torch.manual_seed(seed)
    net = FrustumRangeNet(SMALL)
    for _ in range(3):
        net(*points(4000, seed))
    return net.eval()


def points(count: int, seed: int = 0, config: FrustumRangeNetConfig = SMALL) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(count, config.features, generator=generator)
    return features, torch.randint(config.height * config.width, (count,), generator=generator)


@pytest.fixture(scope='module')
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[FrustumRangeNet, Path]:
    net, path = network(), tmp_path_factory.mktemp('onnx') / 'model.onnx'
    backbone = RangeBackbone(SMALL)
    backbone.network = net
    export_onnx(backbone, path)
    return net, path


@pytest.mark.parametrize('count', [1, 2, 7, 64, 1000, 30_000])
def test_onnx_runtime_gives_the_scores_of_torch_for_any_number_of_points(
        exported: tuple[FrustumRangeNet, Path], count: int) -> None:
    net, path = exported
    features, pixel = points(count, seed=count)
    with torch.no_grad():
        expected = net(features, pixel).numpy()
    session = ort.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    class_id, probability, scores = session.run(None, {'features': features.numpy(), 'pixel': pixel.numpy()})
    np.testing.assert_allclose(scores, expected, atol=2e-5)
    assert class_id.dtype == np.uint8
    np.testing.assert_array_equal(class_id, scores.argmax(1) + 1)
    softmax = np.exp(scores - scores.max(1, keepdims=True))
    np.testing.assert_allclose(probability, (softmax / softmax.sum(1, keepdims=True)).max(1), atol=1e-5)


def test_the_graph_uses_standard_operators_that_tensorrt_reads(exported: tuple[FrustumRangeNet, Path]) -> None:
    model = onnx.load(exported[1])
    onnx.checker.check_model(model)
    assert {o.domain: o.version for o in model.opset_import}[''] == 18
    assert all(node.domain == '' for node in model.graph.node)
    kinds = {node.op_type for node in model.graph.node}
    assert 'ScatterElements' in kinds
    assert not kinds & {'ScatterND', 'GatherND', 'Unique', 'NonZero', 'Loop', 'If', 'SequenceConstruct'}


def test_sweeps_of_a_batch_do_not_see_each_other() -> None:
    net = network()
    first, second = points(500, 1), points(800, 2)
    cells = SMALL.height * SMALL.width
    with torch.no_grad():
        together = net(torch.cat((first[0], second[0])), torch.cat((first[1], second[1] + cells)), 2)
        np.testing.assert_allclose(together[:500], net(*first), atol=1e-5)
        np.testing.assert_allclose(together[500:], net(*second), atol=1e-5)


def test_the_order_of_points_does_not_matter() -> None:
    net = network()
    features, pixel = points(900, 5)
    order = torch.randperm(900, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        np.testing.assert_allclose(net(features[order], pixel[order]), net(features, pixel)[order], atol=1e-5)


def test_the_image_closes_in_azimuth() -> None:
    torch.manual_seed(0)
    conv = CircularConv(3, 4).eval()
    image = torch.randn(1, 3, 8, 16)
    with torch.no_grad():
        np.testing.assert_allclose(conv(image.roll(5, -1)), conv(image).roll(5, -1), atol=1e-6)


def test_training_has_the_same_gradient_as_joining_the_columns_by_hand() -> None:
    image = torch.randn(1, 2, 3, 8, dtype=torch.float64, requires_grad=True)
    conv = CircularConv(2, 4, relu=False).double().train()
    (ours,) = torch.autograd.grad((conv(image) ** 3).sum(), image)
    joined = torch.cat((image[..., -1:], image, image[..., :1]), -1)
    (plain,) = torch.autograd.grad((conv.norm(conv.conv(joined)) ** 3).sum(), image)
    torch.testing.assert_close(ours, plain)


def test_scatter_reduces_as_a_loop_would() -> None:
    values = torch.rand(50, 11, generator=torch.Generator().manual_seed(0))
    index = torch.randint(6, (50,), generator=torch.Generator().manual_seed(1))
    largest, total = torch.zeros(7, 11), torch.zeros(7, 11)
    for row, cell in zip(values, index.tolist(), strict=True):
        largest[cell] = torch.maximum(largest[cell], row)
        total[cell] += row
    np.testing.assert_allclose(scatter(values, index, 7, 'amax'), largest)
    np.testing.assert_allclose(scatter(values, index, 7, 'sum'), total, atol=1e-5)
    assert not scatter(values, index, 7, 'amax')[6].any()


def test_every_weight_learns() -> None:
    net = network().train()
    net(*points(3000)).square().sum().backward()
    still = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not still
