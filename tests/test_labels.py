from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sam2amml_core.errors import InputError
from sam2amml_core.labels import (
    COARSE_NAMES,
    NUSCENES,
    SEMANTIC_KITTI,
    SEMANTIC_KITTI_TO_COARSE,
    ClassSchema,
    schema,
)
from training.world.classes import NUSCENES_RAW, SEMANTIC_KITTI_RAW, WORLD_CLASSES

TABLES = Path(__file__).parents[2] / 'shared' / 'research' / 'label_tables.json'
SCHEMAS = pytest.mark.parametrize('classes', [SEMANTIC_KITTI, NUSCENES], ids=lambda s: s.name)


@SCHEMAS
def test_a_schema_is_consistent_with_itself(classes: ClassSchema) -> None:
    assert classes.names[0] == 'unlabeled'
    assert len(set(classes.names)) == len(classes.names) == len(classes.colors) == len(classes.train_to_raw)
    np.testing.assert_array_equal(classes.raw_to_train[classes.train_to_raw], np.arange(len(classes.names)))
    assert classes.raw_to_train.shape == (65536,)
    assert set(np.flatnonzero(classes.raw_to_train)) <= set(classes.raw_names)
    assert schema(classes.name) is classes


def test_the_schemas_have_the_published_numbers_of_classes() -> None:
    assert len(SEMANTIC_KITTI.names) == 20
    assert len(NUSCENES.names) == 17


def test_moving_objects_share_the_class_of_standing_ones() -> None:
    ids = {name: SEMANTIC_KITTI.raw_to_train[raw] for raw, name in SEMANTIC_KITTI.raw_names.items()}
    for name in ('car', 'truck', 'person', 'bicyclist', 'motorcyclist', 'other-vehicle'):
        assert ids[f'moving-{name}'] == ids[name] == SEMANTIC_KITTI.names.index(name)


@pytest.mark.skipif(not TABLES.is_file(), reason='the published tables do not lie beside this checkout')
def test_tables_equal_the_published_ones() -> None:
    tables = json.loads(TABLES.read_text(encoding='utf-8'))
    kitti, nuscenes = tables['semantic_kitti'], tables['nuscenes_lidarseg']
    for published, classes in ((kitti, SEMANTIC_KITTI), (nuscenes, NUSCENES)):
        assert {int(i): n for i, n in published['labels'].items()} == classes.raw_names
        assert all(classes.raw_to_train[int(i)] == t for i, t in published['learning_map'].items())
    for train_id, raw in kitti['learning_map_inv'].items():
        assert SEMANTIC_KITTI.train_to_raw[int(train_id)] == raw
        assert SEMANTIC_KITTI.colors[int(train_id)].tolist() == kitti['color_map_rgb'][str(raw)]
    for train_id, color in nuscenes['challenge_rgb'].items():
        assert NUSCENES.colors[int(train_id)].tolist() == color
        assert int(train_id) == 0 or NUSCENES.names[int(train_id)] == nuscenes['challenge'][train_id]


@SCHEMAS
def test_data_numbered_otherwise_is_refused_by_name(classes: ClassSchema) -> None:
    classes.check_raw_names(classes.raw_names, 'category.json')
    shifted = {i: classes.raw_names[i] for i in list(classes.raw_names)[3:]}
    shifted[list(classes.raw_names)[3]] = 'gazebo'
    with pytest.raises(InputError, match=r"category\.json.*'gazebo'"):
        classes.check_raw_names(shifted, 'category.json')
    with pytest.raises(InputError, match='unknown ids 999'):
        classes.check_raw_names({999: 'yeti'}, 'category.json')


def test_an_unknown_schema_lists_the_known() -> None:
    with pytest.raises(InputError, match='semantic_kitti or nuscenes'):
        schema('cityscapes')


def test_every_world_class_has_a_raw_id_in_both_schemas() -> None:
    assert set(SEMANTIC_KITTI_RAW.tolist()) <= set(SEMANTIC_KITTI.raw_names)
    assert set(NUSCENES_RAW.tolist()) <= set(NUSCENES.raw_names)
    names = {c.name: i for i, c in enumerate(WORLD_CLASSES)}
    for name in ('car', 'road', 'building', 'pole', 'person', 'vegetation'):
        assert SEMANTIC_KITTI.names[SEMANTIC_KITTI.raw_to_train[SEMANTIC_KITTI_RAW[names[name]]]] == name
    assert NUSCENES.names[NUSCENES.raw_to_train[NUSCENES_RAW[names['person']]]] == 'pedestrian'


def test_coarse_classes_join_what_both_data_sets_tell_apart() -> None:
    coarse = {name: COARSE_NAMES[SEMANTIC_KITTI_TO_COARSE[i]] for i, name in enumerate(SEMANTIC_KITTI.names)}
    assert coarse['unlabeled'] == coarse['other-ground'] == 'none'
    assert coarse['parking'] == coarse['road'] == 'road'
    assert coarse['bicyclist'] == 'two-wheeler'
    assert coarse['trunk'] == 'vegetation'
