"""The way of a sweep through the TensorRT engine, on a stand-in; see ``tensorrt_stand_in``."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import numpy as np
import pytest
from small_backbones import street
from tensorrt_stand_in import HostCuda, StandIn

from sam2amml_core.bundle import ModelBundle, load_bundle
from sam2amml_core.engines import create_engine, cuda_memory
from sam2amml_core.engines.engine import build_only
from sam2amml_core.engines.tensorrt import TensorRtEngine
from sam2amml_core.errors import EngineError
from sam2amml_core.frame import Frame
from sam2amml_core.lidar.preparation import prepare
from sam2amml_core.segmenter import Segmenter


@pytest.fixture(scope='module')
def bundle() -> ModelBundle:
    return load_bundle('street32')


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> HostCuda:
    memory = HostCuda()
    monkeypatch.setattr(cuda_memory, 'cuda_runtime', lambda: memory)
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    return memory


@pytest.fixture
def trt(monkeypatch: pytest.MonkeyPatch, cuda: HostCuda) -> StandIn:
    module = StandIn()
    monkeypatch.setitem(sys.modules, 'tensorrt', module)
    return module


def test_sweeps_of_any_size_come_back_as_onnx_runtime_labels_them(bundle: ModelBundle, trt: StandIn) -> None:
    mine, theirs = Segmenter(bundle, create_engine(bundle, 'tensorrt')), Segmenter.open('street32', 'cpu', 1)
    assert mine.engine.name == 'tensorrt 10.3.0 on Stand-in, half precision'
    for count in (2000, 1, 5000, 300):
        found, expected = mine.segment(Frame(street(count, count))), theirs.segment(Frame(street(count, count)))
        np.testing.assert_array_equal(found.class_id, expected.class_id)
        np.testing.assert_allclose(found.probability, expected.probability, atol=1e-5)


def test_it_is_built_once_for_the_profile_and_precision_asked_for(
        bundle: ModelBundle, trt: StandIn, tmp_path: Path) -> None:
    assert build_only(bundle) == TensorRtEngine(bundle).name
    assert trt.builds == 1
    assert trt.flags == ['half']
    assert trt.profiles == [{'features': ((1, 7), (64_000, 7), (200_000, 7)), 'pixel': ((1,), (64_000,), (200_000,))}]
    assert json.loads((tmp_path / 'sam2amml' / 'street32-half.json').read_text())['key']['gpu'] == 'Stand-in'
    TensorRtEngine(bundle, 'single')
    assert trt.builds == 2
    assert trt.flags == ['half']


def test_auto_takes_tensorrt_only_when_nothing_needs_building(bundle: ModelBundle, trt: StandIn) -> None:
    engine = create_engine(bundle, 'auto', 1)
    assert 'none has been built yet' in engine.reason
    assert trt.builds == 0
    build_only(bundle)
    assert create_engine(bundle, 'auto', 1).name.startswith('tensorrt')
    trt.__version__ = '10.9.0'
    assert "the plan was built for '10.3.0'" in create_engine(bundle, 'auto', 1).reason


def test_class_ids_come_from_the_scores_where_the_graph_cannot_be_built_with_them(
        bundle: ModelBundle, trt: StandIn, caplog: pytest.LogCaptureFixture) -> None:
    trt.refuses_class_id = True
    with caplog.at_level(logging.WARNING):
        engine = create_engine(bundle, 'tensorrt')
    assert 'trying again without class_id' in caplog.text
    inputs = prepare(bundle.input, street(900), bundle.sensor, bundle.normalisation).inputs
    names = ('class_id', 'probability')
    peer = create_engine(bundle, 'cpu', 1)
    for found, expected in zip(engine.run(inputs, names), peer.run(inputs, names), strict=True):
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_what_the_plan_does_not_take_is_refused_with_the_reason(bundle: ModelBundle, trt: StandIn) -> None:
    engine = create_engine(bundle, 'tensorrt')
    with pytest.raises(EngineError, match='lacks the inputs pixel'):
        engine.run({'features': np.zeros((3, 7), np.float32)}, ('class_id',))
    many: dict[str, np.ndarray] = {'features': np.zeros((200_001, 7), np.float32), 'pixel': np.zeros(200_001, np.int64)}
    with pytest.raises(EngineError, match='built for 1 to 200000 points, got 200001; set a larger profile'):
        engine.run(many, ('class_id',))
    few = {name: values[:3] for name, values in many.items()}
    with pytest.raises(EngineError, match='has no output colour'):
        engine.run(few, ('colour',))


def test_other_versions_are_told_what_to_do(
        bundle: ModelBundle, monkeypatch: pytest.MonkeyPatch, cuda: HostCuda) -> None:
    monkeypatch.setitem(sys.modules, 'tensorrt', StandIn('8.6.1'))
    with pytest.raises(EngineError, match='silently drops the reduction'):
        create_engine(bundle, 'tensorrt')
    monkeypatch.setitem(sys.modules, 'tensorrt', StandIn('11.1.0'))
    with pytest.raises(EngineError, match='use precision "single", or TensorRT 10'):
        create_engine(bundle, 'tensorrt')
    assert create_engine(bundle, 'tensorrt-single').name.endswith('single precision')


def test_memory_grows_and_is_given_back(cuda: HostCuda) -> None:
    memory = cuda_memory.DeviceMemory()
    values = np.arange(1000, dtype=np.float32)
    for size in (10, 1000, 500):
        memory.send('a', values[:size])
        back = np.empty(size, np.float32)
        memory.fetch('a', back)
        memory.wait()
        np.testing.assert_array_equal(back, values[:size])
    assert len(cuda.held) == 1
    memory.close()
    assert not cuda.held


def test_an_error_of_cuda_is_told(cuda: HostCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, 'cudaMalloc', lambda size: (2, 0))
    with pytest.raises(EngineError, match='CUDA failed at reserving'):
        cuda_memory.DeviceMemory().reserve('a', 8)
