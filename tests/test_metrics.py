from __future__ import annotations

import math

import numpy as np
import pytest

from sam2amml_core.errors import InputError
from sam2amml_core.metrics import ConfusionMatrix


def ids(*values: int) -> np.ndarray:
    return np.array(values, np.uint8)


def test_iou_equals_the_answer_worked_out_by_hand() -> None:
    matrix = ConfusionMatrix(3)
    # class 1: 2 hits, 1 missed (said 2), 1 false alarm (a 2 called 1) -> 2/4; class 2: 1 hit, 1 miss, 1 false -> 1/3
    matrix.add(ids(1, 1, 2, 2, 1), ids(1, 1, 1, 2, 2))
    iou = matrix.iou()
    assert iou[1] == pytest.approx(2 / 4)
    assert iou[2] == pytest.approx(1 / 3)
    assert math.isnan(iou[3])
    assert math.isnan(iou[0])
    assert matrix.miou() == pytest.approx((1 / 2 + 1 / 3) / 2)
    assert matrix.accuracy() == pytest.approx(3 / 5)


def test_unlabeled_truth_is_ignored_whatever_was_predicted() -> None:
    matrix = ConfusionMatrix(2)
    matrix.add(ids(1, 2, 1, 255), ids(0, 0, 1, 0))
    assert matrix.iou()[1] == 1.0
    assert matrix.counts.sum() == 1


def test_a_missing_label_is_a_miss_but_no_false_alarm() -> None:
    matrix = ConfusionMatrix(2)
    matrix.add(ids(255, 1, 0, 2), ids(1, 1, 2, 2))
    assert matrix.iou()[1] == pytest.approx(1 / 2)
    assert matrix.iou()[2] == pytest.approx(1 / 2)


def test_a_class_only_predicted_does_not_enter_the_mean_but_its_victims_do() -> None:
    matrix = ConfusionMatrix(2)
    matrix.add(ids(1, 2), ids(1, 1))
    assert matrix.miou() == pytest.approx(1 / 2)


def test_sweeps_add_up() -> None:
    random = np.random.default_rng(0)
    prediction, truth = random.integers(0, 5, (2, 1000)).astype(np.uint8)
    whole, parts = ConfusionMatrix(4), ConfusionMatrix(4)
    whole.add(prediction, truth)
    for chunk in np.array_split(np.arange(1000), 7):
        parts.add(prediction[chunk], truth[chunk])
    np.testing.assert_array_equal(whole.counts, parts.counts)


def test_nothing_labelled_gives_nan_and_not_a_warning() -> None:
    matrix = ConfusionMatrix(2)
    matrix.add(ids(), ids())
    assert math.isnan(matrix.miou())
    assert math.isnan(matrix.accuracy())


def test_names_go_with_percentages() -> None:
    matrix = ConfusionMatrix(2)
    matrix.add(ids(1, 2, 2), ids(1, 2, 1))
    assert matrix.per_class(('unlabeled', 'car', 'road')) == {'car': 50.0, 'road': 50.0}


@pytest.mark.parametrize(('prediction', 'truth', 'words'), [
    (ids(1, 2), ids(1), 'shape'),
    (ids(1), ids(9), 'map raw ids'),
])
def test_bad_input_is_named(prediction: np.ndarray, truth: np.ndarray, words: str) -> None:
    with pytest.raises(InputError, match=words):
        ConfusionMatrix(3).add(prediction, truth)


def test_a_matrix_without_classes_is_refused() -> None:
    with pytest.raises(InputError, match='at least one class'):
        ConfusionMatrix(0)
