from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from sam2amml_core.bundle import (
    ModelBundle,
    Normalisation,
    Provenance,
    SensorGeometry,
    load_bundle,
    write_bundle,
)
from sam2amml_core.engines import create_engine
from sam2amml_core.engines.openvino import has_openvino
from sam2amml_core.errors import EngineError
from sam2amml_core.labels import SEMANTIC_KITTI
from sam2amml_core.lidar.flat_sweep import flat_sweep
from sam2amml_core.lidar.range_view import make_range_view

SENSOR = SensorGeometry(beams=8, fov_up_deg=3, fov_down_deg=-25, image_height=8, image_width=16, sensor_height_m=1.7)
PLAIN = Normalisation(mean={'x': 0.0}, std={'x': 1.0})


def doubling_network(path: Path) -> None:
    """y = x + x, any number of rows of two."""
    graph = helper.make_graph(
        [helper.make_node('Add', ['x', 'x'], ['y'])], 'doubling',
        [helper.make_tensor_value_info('x', TensorProto.FLOAT, ['points', 2])],
        [helper.make_tensor_value_info('y', TensorProto.FLOAT, ['points', 2])])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid('', 18)], ir_version=9), path)


def bundle_of(folder: Path, name: str) -> ModelBundle:
    return write_bundle(folder / name, folder / 'any.onnx', name, SEMANTIC_KITTI, SENSOR, PLAIN, Provenance())


@pytest.fixture
def bundle(tmp_path: Path) -> ModelBundle:
    doubling_network(tmp_path / 'any.onnx')
    return bundle_of(tmp_path, 'doubling')


@pytest.mark.parametrize('count', [0, 1, 5000])
def test_the_network_runs_on_any_number_of_points(bundle: ModelBundle, count: int) -> None:
    x = np.random.default_rng(0).random((count, 2), np.float32)
    (y,) = create_engine(bundle, 'cpu', threads=1).run({'x': x}, ('y',))
    np.testing.assert_array_equal(y, 2 * x)


def test_the_engine_says_what_it_is_and_why(bundle: ModelBundle) -> None:
    engine = create_engine(bundle, 'auto', threads=2)
    assert ort.__version__ in engine.name
    assert engine.reason
    if 'CUDAExecutionProvider' not in ort.get_available_providers():
        assert 'cpu, 2 threads' in engine.name
        assert 'no CUDA provider' in engine.reason
    assert create_engine(bundle, 'cpu', threads=1).name.endswith('1 thread')
    assert create_engine(bundle, 'cpu').reason == 'asked for'


@pytest.mark.parametrize(('name', 'provider'), [
    ('cuda', 'CUDAExecutionProvider'), ('tensorrt-provider', 'TensorrtExecutionProvider'),
])
def test_a_provider_that_is_not_there_is_refused_with_a_remedy(bundle: ModelBundle, name: str, provider: str) -> None:
    if provider in ort.get_available_providers():
        pytest.skip(f'{provider} is present here')
    with pytest.raises(EngineError, match=f"'{name.split('-')[0]}' is not available.*onnxruntime-gpu"):
        create_engine(bundle, name)


def test_openvino_runs_any_number_of_points_and_labels_like_onnx_runtime(bundle: ModelBundle) -> None:
    pytest.importorskip('openvino', reason='the extra [openvino] is not installed')
    engine = create_engine(bundle, 'openvino', threads=1)
    assert 'openvino' in engine.name and '1 thread' in engine.name
    for count in (1, 5000):
        x = np.random.default_rng(0).random((count, 2), np.float32)
        first, second = (engine.run({'x': x * scale}, ('y',))[0] for scale in (1, 3))
        np.testing.assert_allclose(first, 2 * x, rtol=1e-2)  # bfloat16 has 8 bits
        np.testing.assert_allclose(second, 6 * x, rtol=1e-2)
    shipped = load_bundle('street64')
    view = make_range_view(flat_sweep(shipped.sensor), shipped.sensor, shipped.normalisation)
    inputs = {'features': view.features, 'pixel': view.pixel}
    one, other = (create_engine(shipped, name).run(inputs, ('class_id',))[0] for name in ('openvino', 'cpu'))
    assert (one == other).mean() > 0.98


@pytest.mark.parametrize('inputs', [
    {'x': np.zeros((3, 5), np.float32)}, {'x': np.zeros((3, 2), np.float64)}, {'z': np.zeros((3, 2), np.float32)}, {},
])
def test_openvino_names_inputs_the_network_does_not_take(bundle: ModelBundle, inputs: dict[str, np.ndarray]) -> None:
    pytest.importorskip('openvino', reason='the extra [openvino] is not installed')
    with pytest.raises(EngineError, match='refused .*the network takes x'):
        create_engine(bundle, 'openvino').run(inputs, ('y',))


def test_openvino_that_is_missing_or_refuses_a_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'any.onnx').write_bytes(b'this is no network')
    broken = bundle_of(tmp_path, 'broken')
    if has_openvino():
        with pytest.raises(EngineError, match=r'cannot load .*broken.*model\.onnx'):
            create_engine(broken, 'openvino')
    monkeypatch.setitem(sys.modules, 'openvino', None)
    with pytest.raises(EngineError, match=r'install the extra \[openvino\]'):
        create_engine(broken, 'openvino')


def test_an_unknown_engine_is_refused_with_the_choices(bundle: ModelBundle) -> None:
    with pytest.raises(EngineError, match='abacus.*auto, cpu, cuda, tensorrt'):
        create_engine(bundle, 'abacus')


def test_an_engine_without_threads_is_refused(bundle: ModelBundle) -> None:
    with pytest.raises(EngineError, match='at least 1 thread'):
        create_engine(bundle, threads=0)


def test_a_file_that_is_no_network_is_named(tmp_path: Path) -> None:
    (tmp_path / 'any.onnx').write_bytes(b'this is no network')
    bundle = bundle_of(tmp_path, 'broken')
    with pytest.raises(EngineError, match=r'cannot load .*broken.*model\.onnx'):
        create_engine(bundle)


@pytest.mark.parametrize('inputs', [
    {'x': np.zeros((3, 5), np.float32)}, {'x': np.zeros((3, 2), np.float64)}, {'z': np.zeros((3, 2), np.float32)}, {},
])
def test_inputs_the_network_does_not_take_are_named(bundle: ModelBundle, inputs: dict[str, np.ndarray]) -> None:
    with pytest.raises(EngineError, match='refused .*the network takes x'):
        create_engine(bundle, 'cpu').run(inputs, ('y',))
