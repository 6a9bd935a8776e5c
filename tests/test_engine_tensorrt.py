"""TensorRT is not here: its calls are checked against the documented names, everything around them is run."""

from __future__ import annotations

import ast
import importlib.util
import json
import logging
from pathlib import Path

import pytest

from sam2amml_core.bundle import ModelBundle, load_bundle
from sam2amml_core.engines import create_engine, cuda_memory, tensorrt
from sam2amml_core.engines.plan_cache import PlanCache
from sam2amml_core.engines.profiles import profile_of
from sam2amml_core.engines.tensorrt import TensorRtEngine, cache_key, plan_reason
from sam2amml_core.errors import BundleError, EngineError
from sam2amml_core.lidar.input_spec import VoxelInput

API = json.loads((Path(__file__).parent / 'tensorrt_api.json').read_text(encoding='utf-8'))
KINDS = {'builder': 'Builder', 'network': 'INetworkDefinition', 'parser': 'OnnxParser', 'config': 'IBuilderConfig',
         'profile': 'IOptimizationProfile', 'runtime': 'Runtime', 'engine': 'ICudaEngine',
         'context': 'IExecutionContext', 'tensor': 'ITensor'}
MODULE = {'__version__', 'nptype', 'Logger', 'Builder', 'OnnxParser', 'Runtime', 'MemoryPoolType', 'BuilderFlag',
          'TensorIOMode'}
present = importlib.util.find_spec('tensorrt') is not None
KEY = {'onnx': 'abc', 'gpu': 'A100', 'profile': {'points': (1, 2, 3)}}


@pytest.fixture(scope='module')
def bundle() -> ModelBundle:
    return load_bundle('street64')


def calls(module: object) -> list[tuple[str, str]]:
    """(name of the object, attribute) of every attribute access in a module's source."""
    tree = ast.parse(Path(str(getattr(module, '__file__', ''))).read_text(encoding='utf-8'))
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            holder = node.value
            name = getattr(holder, 'id', '') or getattr(holder, 'attr', '')
            found.append((name.lstrip('_'), node.attr))
    return found


def test_only_documented_names_of_tensorrt_are_used() -> None:
    used = calls(tensorrt)
    checked = 0
    for holder, attribute in used:
        if holder in KINDS:
            assert attribute in API['both'][KINDS[holder]], f'{KINDS[holder]} has no documented {attribute}'
            checked += 1
        elif holder == 'trt':
            assert attribute in MODULE
        elif holder in ('MemoryPoolType', 'TensorIOMode'):
            assert attribute in API['both'][holder]
        elif holder == 'Logger':
            assert attribute in API['both']['Severity']
    assert checked > 20
    assert {kind for kind, _ in used} >= set(KINDS)
    assert API['only 10']['BuilderFlag'].count('FP16') == 1  # so it is asked for with getattr


def test_only_names_that_the_cuda_bindings_have_are_used() -> None:
    runtime = pytest.importorskip('cuda.bindings.runtime', reason='the CUDA bindings are not installed')
    used = [attribute for holder, attribute in calls(cuda_memory) if holder == 'runtime']
    assert len(used) > 8
    for attribute in used:
        assert hasattr(runtime, attribute), attribute


@pytest.mark.skipif(present, reason='TensorRT is here')
@pytest.mark.parametrize('name', ['tensorrt', 'tensorrt-single'])
def test_without_tensorrt_the_message_says_what_to_do(bundle: ModelBundle, name: str) -> None:
    with pytest.raises(EngineError, match=r'not installed.*install tensorrt >= 10.*engine "cuda" or "cpu"'):
        create_engine(bundle, name)


@pytest.mark.skipif(present, reason='TensorRT is here')
def test_auto_falls_back_and_says_why(bundle: ModelBundle) -> None:
    assert 'TensorRT is not installed' in plan_reason(bundle)
    engine = create_engine(bundle, 'auto', 1)
    assert 'no TensorRT: TensorRT is not installed' in engine.reason


def test_an_unknown_precision_is_refused(bundle: ModelBundle) -> None:
    with pytest.raises(EngineError, match='unknown precision .double.*half, single'):
        TensorRtEngine(bundle, 'double')


def test_the_key_names_all_that_a_plan_depends_on(bundle: ModelBundle) -> None:
    key = cache_key(bundle, 'half', '10.4.0', ('A100', '8.0'))
    assert key['onnx'] == bundle.spec.onnx_sha256
    assert (key['gpu'], key['compute_capability']) == ('A100', '8.0')
    assert (key['tensorrt'], key['precision']) == ('10.4.0', 'half')
    assert key['profile'] == {'points': [1, 128_000, 200_000]}


def test_a_profile_comes_from_the_bundle_where_it_names_one(bundle: ModelBundle) -> None:
    spec = bundle.spec.model_copy(update={'input': VoxelInput(halvings=2), 'profile': {'voxels_0': (8, 500, 900)}})
    spans = profile_of(ModelBundle(bundle.path, spec, bundle.schema))
    assert spans['voxels_0'] == (8, 500, 900)
    assert spans['points'][2] == spans['voxels_2'][2] == 200_000
    assert spans['points'][1] > spans['voxels_1'][1] > spans['voxels_2'][1] > 0
    spec = bundle.spec.model_copy(update={'profile': {'pixels': (1, 2, 3)}})
    with pytest.raises(BundleError, match="names 'pixels', its inputs have points"):
        profile_of(ModelBundle(bundle.path, spec, bundle.schema))


def test_a_plan_is_built_once_and_then_read(tmp_path: Path) -> None:
    cache = PlanCache(tmp_path / 'plans')
    assert cache.get('street', KEY, lambda: b'plan') == b'plan'
    assert cache.why_not('street', KEY) == ''
    assert cache.get('street', KEY, lambda: pytest.fail('built again')) == b'plan'
    assert sorted(p.name for p in cache.folder.iterdir()) == ['street.json', 'street.plan']


def test_a_plan_for_something_else_is_built_again_and_the_reason_is_logged(
        tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = PlanCache(tmp_path)
    cache.get('street', KEY, lambda: b'old')
    with caplog.at_level(logging.WARNING):
        assert cache.get('street', {**KEY, 'gpu': 'Orin'}, lambda: b'new') == b'new'
    assert "gpu is 'Orin', the plan was built for 'A100'" in caplog.text
    assert cache.get('street', {**KEY, 'gpu': 'Orin'}, lambda: b'') == b'new'


@pytest.mark.parametrize(('file', 'content', 'reason'), [
    ('street.plan', b'pla', 'damaged'), ('street.json', b'{"key"', 'cannot be read'),
    ('street.json', b'[]', 'cannot be'),
])
def test_damaged_files_are_built_again(tmp_path: Path, file: str, content: bytes, reason: str) -> None:
    cache = PlanCache(tmp_path)
    cache.get('street', KEY, lambda: b'plan')
    (tmp_path / file).write_bytes(content)
    assert reason in cache.why_not('street', KEY)
    assert cache.get('street', KEY, lambda: b'again') == b'again'


def test_a_build_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    cache = PlanCache(tmp_path)
    cache.get('street', KEY, lambda: b'plan')

    def fails() -> bytes:
        raise EngineError('out of memory')

    with pytest.raises(EngineError, match='out of memory'):
        cache.get('street', {**KEY, 'gpu': 'Orin'}, fails)
    assert cache.get('street', KEY, lambda: b'') == b'plan'
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('in the way')
    with pytest.raises(EngineError, match=r'cannot write .*street\.plan.*you may write to'):
        PlanCache(tmp_path / 'file').get('street', KEY, lambda: b'plan')
