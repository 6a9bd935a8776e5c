from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from small_backbones import PLAIN, SENSOR, street

from sam2amml_core.bundle import WEIGHTS_FILE, ModelBundle, Provenance, load_bundle
from sam2amml_core.engines import create_engine
from sam2amml_core.engines.torch_network import TorchEngine
from sam2amml_core.errors import BundleError, EngineError
from sam2amml_core.frame import Frame
from sam2amml_core.labels import SEMANTIC_KITTI
from sam2amml_core.lidar.backbones.catalogue import create
from sam2amml_core.lidar.input_spec import VoxelInput
from sam2amml_core.lidar.preparation import prepare
from sam2amml_core.segmenter import Segmenter
from training.export import export_bundle


@pytest.fixture(scope='module')
def bundle(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    torch.manual_seed(0)
    network = create('frustum_range_net', len(SEMANTIC_KITTI.names) - 1, SENSOR).eval()
    return export_bundle(network, tmp_path_factory.mktemp('models') / 'range', 'range', SEMANTIC_KITTI, SENSOR, PLAIN,
                         Provenance(), with_weights=True)


def test_torch_labels_like_the_graph(bundle: ModelBundle) -> None:
    frame = Frame(street(3000))
    mine, theirs = (Segmenter.open(bundle.path, name, 1) for name in ('torch', 'cpu'))
    assert mine.engine.name.startswith(f'torch {torch.__version__}')
    assert mine.engine.reason
    found, expected = mine.segment(frame), theirs.segment(frame)
    assert found.class_id.dtype == np.uint8
    assert (found.class_id == expected.class_id).mean() > 0.999
    np.testing.assert_allclose(found.probability, expected.probability, atol=1e-5)


def test_a_compiled_network_takes_any_number_of_points(bundle: ModelBundle) -> None:
    """Traced for real; 'aot_eager' leaves out the C++ compiler, which takes a minute."""
    plain, compiled = TorchEngine(bundle, 1), TorchEngine(bundle, 1, 'cpu', 'aot_eager')
    assert compiled.name.endswith('compiled')
    for count in (300, 500):
        inputs = prepare(bundle.input, street(count), bundle.sensor, bundle.normalisation).inputs
        (found,), (expected,) = (engine.run(inputs, ('scores',)) for engine in (compiled, plain))
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_compiling_a_sparse_network_is_refused(bundle: ModelBundle) -> None:
    spec = bundle.spec.model_copy(update={'input': VoxelInput()})
    with pytest.raises(EngineError, match='longer to compile than it saves'):
        TorchEngine(ModelBundle(bundle.path, spec, bundle.schema), compile='inductor')


def test_wrong_arrays_are_refused_by_name(bundle: ModelBundle) -> None:
    engine = create_engine(bundle, 'torch', 1)
    with pytest.raises(EngineError, match='refused .*pixel'):
        engine.run({'features': np.zeros((3, 7), np.float32)}, ('class_id',))
    with pytest.raises(EngineError, match='colour'):
        engine.run({'features': np.zeros((3, 7), np.float32), 'pixel': np.zeros(3, np.int64)}, ('colour',))


def test_a_bundle_without_weights_is_refused_with_the_remedy() -> None:
    with pytest.raises(EngineError, match=r'street64 carries no torch weights.*export with --weights'):
        create_engine(load_bundle('street64'), 'torch')


def test_damaged_weights_are_refused(bundle: ModelBundle) -> None:
    file = bundle.path / WEIGHTS_FILE
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    try:
        with pytest.raises(EngineError, match='damaged'):
            create_engine(bundle, 'torch')
    finally:
        file.write_bytes(whole)


def test_a_network_from_elsewhere_cannot_carry_weights(tmp_path: Path) -> None:
    network = create('frustum_range_net', 19, SENSOR)
    network.catalogue_name = ''
    with pytest.raises(BundleError, match='not made by the catalogue'):
        export_bundle(network, tmp_path / 'x', 'x', SEMANTIC_KITTI, SENSOR, PLAIN, Provenance(), with_weights=True)
