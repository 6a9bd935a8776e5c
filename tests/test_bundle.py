from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from sam2amml_core.bundle import (
    BUNDLE_FILE,
    ONNX_FILE,
    Normalisation,
    Provenance,
    SensorGeometry,
    load_bundle,
    shipped_bundles,
    write_bundle,
)
from sam2amml_core.errors import BundleError
from sam2amml_core.labels import NUSCENES, SEMANTIC_KITTI

SENSOR = SensorGeometry(beams=64, fov_up_deg=3, fov_down_deg=-25, image_height=64, image_width=512, sensor_height_m=1.7)
PLAIN = Normalisation(mean={'x': 0.0}, std={'x': 2.0})


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    onnx = tmp_path / 'any.onnx'
    onnx.write_bytes(b'some weights')
    write_bundle(tmp_path / 'models' / 'mine', onnx, 'mine', SEMANTIC_KITTI, SENSOR, PLAIN,
                 Provenance(command='sam2amml train', seed=3, metrics={'miou': 61.5}))
    return tmp_path / 'models' / 'mine'


def change(bundle: Path, **values: object) -> None:
    file = bundle / BUNDLE_FILE
    content = yaml.safe_load(file.read_text())
    content.update(values)
    file.write_text(yaml.safe_dump(content))


def test_what_was_written_is_read_back(bundle: Path) -> None:
    found = load_bundle(bundle)
    assert found.name == 'mine'
    assert found.schema is SEMANTIC_KITTI or found.schema.names == SEMANTIC_KITTI.names
    assert found.sensor == SENSOR
    assert found.normalisation == PLAIN
    assert found.spec.provenance.metrics == {'miou': 61.5}
    assert found.onnx_path.read_bytes() == b'some weights'
    assert len(found.spec.classes) == len(SEMANTIC_KITTI.names)


def test_writing_again_replaces_the_bundle_and_leaves_nothing_beside_it(bundle: Path, tmp_path: Path) -> None:
    newer = tmp_path / 'newer.onnx'
    newer.write_bytes(b'better weights')
    write_bundle(bundle, newer, 'mine', NUSCENES, SENSOR, PLAIN, Provenance())
    assert load_bundle(bundle).schema.name == NUSCENES.name
    assert [p.name for p in bundle.parent.iterdir()] == ['mine']


def test_a_folder_that_is_no_bundle_is_not_overwritten(tmp_path: Path, bundle: Path) -> None:
    precious = tmp_path / 'precious'
    precious.mkdir()
    (precious / 'thesis.txt').write_text('years of work')
    with pytest.raises(BundleError, match='not a model bundle'):
        write_bundle(precious, bundle / ONNX_FILE, 'mine', SEMANTIC_KITTI, SENSOR, PLAIN, Provenance())
    assert (precious / 'thesis.txt').read_text() == 'years of work'


def test_a_name_that_cannot_be_a_folder_is_refused(tmp_path: Path, bundle: Path) -> None:
    with pytest.raises(BundleError, match='name'):
        write_bundle(tmp_path / 'new', bundle / ONNX_FILE, '../mine', SEMANTIC_KITTI, SENSOR, PLAIN, Provenance())
    assert not (tmp_path / 'new').exists()


def test_an_unknown_name_lists_what_is_shipped() -> None:
    with pytest.raises(BundleError, match='no model bundle .*nowhere.*shipped'):
        load_bundle('nowhere')


@pytest.mark.parametrize('name', shipped_bundles())
def test_every_shipped_bundle_is_found_by_name_and_complete(name: str) -> None:
    found = load_bundle(name)
    assert found.name == name
    assert found.onnx_path.stat().st_size < 12_000_000
    assert found.spec.provenance.command


def test_a_folder_without_a_description_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=BUNDLE_FILE):
        load_bundle(tmp_path)


@pytest.mark.parametrize('text', ['{unclosed: [1, 2', '\tname: x', 'just words', '- a list', ''])
def test_a_corrupt_description_is_named(bundle: Path, text: str) -> None:
    (bundle / BUNDLE_FILE).write_text(text)
    with pytest.raises(BundleError, match=r'bundle\.yaml.*export the model again'):
        load_bundle(bundle)


def test_a_description_that_is_not_text_is_named(bundle: Path) -> None:
    (bundle / BUNDLE_FILE).write_bytes(b'\xff\xfe\x00\x81')
    with pytest.raises(BundleError, match=r'cannot read .*bundle\.yaml'):
        load_bundle(bundle)


@pytest.mark.parametrize(('values', 'words'), [
    ({'format_version': 99}, 'format_version 99'),
    ({'schema_name': 'martian'}, 'martian'),
    ({'onnx_sha256': 'short'}, 'onnx_sha256'),
    ({'surprise': 1}, 'surprise'),
    ({'onnx_file': '../../secret.onnx'}, 'must lie in the bundle folder'),
    ({'normalisation': {'mean': {'x': 0.0}, 'std': {'x': 0.0}}}, 'must be positive'),
    ({'normalisation': {'mean': {'x': 0.0}, 'std': {'y': 1.0}}}, 'mean names'),
])
def test_a_wrong_entry_is_named(bundle: Path, values: dict, words: str) -> None:
    change(bundle, **values)
    with pytest.raises(BundleError, match=words):
        load_bundle(bundle)


@pytest.mark.parametrize(('values', 'words'), [
    ({'fov_up_deg': -30}, 'above'), ({'max_range_m': 0.5}, 'exceed'), ({'image_width': 0}, 'image_width'),
    ({'beams': -1}, 'beams'),
])
def test_an_impossible_sensor_is_named(bundle: Path, values: dict, words: str) -> None:
    change(bundle, sensor={**SENSOR.model_dump(), **values})
    with pytest.raises(BundleError, match=words):
        load_bundle(bundle)


def test_other_class_names_than_the_schema_has_are_named(bundle: Path) -> None:
    content = yaml.safe_load((bundle / BUNDLE_FILE).read_text())
    content['classes'][1]['name'] = 'hovercraft'
    change(bundle, classes=content['classes'])
    with pytest.raises(BundleError, match='hovercraft.*car'):
        load_bundle(bundle)


def test_too_few_classes_are_named(bundle: Path) -> None:
    content = yaml.safe_load((bundle / BUNDLE_FILE).read_text())
    change(bundle, classes=content['classes'][:5])
    with pytest.raises(BundleError, match='5 classes here'):
        load_bundle(bundle)


def test_a_missing_network_is_named(bundle: Path) -> None:
    (bundle / ONNX_FILE).unlink()
    with pytest.raises(BundleError, match=r'model\.onnx is missing'):
        load_bundle(bundle)


def test_a_changed_network_is_not_run(bundle: Path) -> None:
    with (bundle / ONNX_FILE).open('ab') as stream:
        stream.write(b'!')
    with pytest.raises(BundleError, match='SHA-256'):
        load_bundle(bundle)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, bundle: Path) -> None:
    blocked = tmp_path / 'file'
    blocked.write_text('not a folder')
    with pytest.raises(BundleError, match='cannot write bundle'):
        write_bundle(blocked / 'sub', bundle / ONNX_FILE, 'mine', SEMANTIC_KITTI, SENSOR, PLAIN, Provenance())
