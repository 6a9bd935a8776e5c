"""Benchmark scores on fixtures worked out by hand, submission files, breakdowns and pictures."""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sam2amml_core.errors import InputError
from sam2amml_core.frame import Camera, CameraView, PointCloud
from sam2amml_core.labels import NUSCENES, SEMANTIC_KITTI
from sam2amml_core.metrics import ConfusionMatrix
from training.datasets.scans import Scan, ScanSet, Truth
from training.datasets.sequences import semantic_kitti
from training.scoring import nuscenes_submission, semantic_kitti_submission
from training.scoring.official import nuscenes_scores, score, semantic_kitti_scores
from training.scoring.picture import confusion_picture, write_confusion_picture
from training.scoring.scoreboard import RANGES, Scoreboard, fill_unknown

# of the classes 1, 2, 3, 4: truth holds 1, 2, 3 and ignored points (0); nothing is 4, but one point is called so;
# one point of class 1 gets no label at all
TRUTH = np.array([1, 1, 1, 1, 2, 2, 3, 0, 0, 1], np.uint8)
SAID = np.array([1, 1, 2, 0, 2, 4, 3, 1, 4, 1], np.uint8)


def matrix(said: Sequence[int] | np.ndarray, truth: Sequence[int] | np.ndarray, classes: int) -> ConfusionMatrix:
    result = ConfusionMatrix(classes)
    result.add(np.asarray(said, np.uint8), np.asarray(truth, np.uint8))
    return result


def test_semantic_kitti_scores_worked_out_by_hand() -> None:
    """Class 1: TP 3, FN 2 (one said 2, one without label), FP 0 (what was said of an ignored point does not count).
    Class 2: TP 1, FP 1, FN 1. Class 3: TP 1. Class 4: FP 1 and nothing else. Class 5: nothing at all, which counts 0.
    """
    scores = semantic_kitti_scores(matrix(SAID, TRUTH, 5))
    assert scores.iou[1:].tolist() == pytest.approx([3 / 5, 1 / 3, 1, 0, 0])
    assert scores.miou == pytest.approx((3 / 5 + 1 / 3 + 1 + 0 + 0) / 5)
    assert scores.accuracy == pytest.approx(5 / 7)  # of 8 labelled points one has no label: not in the denominator
    assert math.isnan(scores.iou[0])


def test_nuscenes_scores_worked_out_by_hand() -> None:
    """As above, but every point has a class, and class 5, in neither truth nor predictions, is left out."""
    said = np.where(SAID == 0, 3, SAID)
    scores = nuscenes_scores(matrix(said, TRUTH, 5))
    # class 1: TP 3, FN 2; class 2: 1 of 3; class 3: TP 1, FP 1; class 4: only predicted
    assert scores.iou[1:5].tolist() == pytest.approx([3 / 5, 1 / 3, 1 / 2, 0])
    assert math.isnan(scores.iou[5])
    assert scores.miou == pytest.approx((3 / 5 + 1 / 3 + 1 / 2 + 0) / 4)
    assert scores.fwiou == pytest.approx((5 * 3 / 5 + 2 * 1 / 3 + 1 * 1 / 2) / 8)


def test_nuscenes_refuses_points_without_a_class() -> None:
    with pytest.raises(InputError, match='1 labelled points have no prediction; nuScenes wants a class 1..5'):
        nuscenes_scores(matrix(SAID, TRUTH, 5))
    nuscenes_scores(matrix([0, 2], [0, 2], 5))  # an ignored point may lack one: it was dropped before


def test_each_schema_is_scored_by_its_own_benchmark() -> None:
    said, truth = [1, 2, 2], [1, 2, 1]
    assert score(matrix(said, truth, 19), SEMANTIC_KITTI).miou == pytest.approx((1 / 2 + 1 / 2) / 19)
    assert score(matrix(said, truth, 16), NUSCENES).miou == pytest.approx((1 / 2 + 1 / 2) / 2)


@pytest.mark.parametrize('seed', range(3))
def test_scores_equal_the_published_formulas_on_random_labels(seed: int) -> None:
    """The formulas of the two scripts, written down point by point, without a confusion matrix."""
    random = np.random.default_rng(seed)
    truth, said = random.integers(0, 7, 500), random.integers(1, 9, 500)
    valid = truth > 0
    kitti = [(said[valid] == c) & (truth[valid] == c) for c in range(1, 10)]
    union = [((said[valid] == c) | (truth[valid] == c)).sum() for c in range(1, 10)]
    expected = [hit.sum() / (u + 1e-15) for hit, u in zip(kitti, union, strict=True)]
    assert semantic_kitti_scores(matrix(said, truth, 9)).miou == pytest.approx(np.mean(expected))
    present = [hit.sum() / u for hit, u in zip(kitti, union, strict=True) if u]
    assert nuscenes_scores(matrix(said, truth, 9)).miou == pytest.approx(np.mean(present))


def test_nothing_labelled_is_no_score() -> None:
    assert math.isnan(nuscenes_scores(matrix([1], [0], 3)).miou)
    assert semantic_kitti_scores(matrix([1], [0], 3)).miou == 0


CAMERA = Camera('front', 100, 100, np.array([[50.0, 0, 50, 0], [0, 50, 50, 0], [0, 0, 1, 0]]),
                np.array([[0.0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]]))


def test_the_scoreboard_splits_by_distance_and_view() -> None:
    board = Scoreboard(SEMANTIC_KITTI)
    xyz = np.array([[9.9, 0, 0], [10, 0, 0], [0, 25, 0], [-40, 0, 0], [50, 0, 0], [np.nan, 0, 0]], np.float32)
    truth = np.array([1, 1, 1, 2, 2, 2], np.uint8)
    said = np.array([1, 2, 1, 2, 2, 1], np.uint8)
    board.add(xyz, said, truth, [CAMERA])
    result = board.summary()
    assert list(result['miou_by_distance']) == list(RANGES)
    # the point of no finite place counts as far: in the last range class 2 has one hit, one miss
    assert list(result['miou_by_distance'].values()) == [100, 0, 100, 100, 50]
    assert board.inside.counts.sum() == 3 and board.outside.counts.sum() == 3  # ahead: x = 9.9, 10, 50
    assert result['miou_in_frustum'] == pytest.approx((1 / 2 + 1 / 2) / 2 * 100, abs=1e-3)
    assert result['miou_out_of_frustum'] == pytest.approx((1 / 2 + 1 / 2) / 2 * 100, abs=1e-3)
    assert result['points'] == 6 and result['sweeps'] == 1
    assert result['miou'] == pytest.approx(100 * (1 / 2 + 1 / 2) / 19, abs=1e-3)
    assert json.loads(json.dumps(result)) == result


def test_without_cameras_there_is_no_score_of_views() -> None:
    board = Scoreboard(NUSCENES)
    board.add(np.ones((2, 3), np.float32), np.array([1, 2], np.uint8), np.array([1, 2], np.uint8))
    result = board.summary()
    assert result['miou_in_frustum'] is None and result['fwiou'] == 100


def test_points_out_of_reach_get_the_class_of_their_nearest_neighbour() -> None:
    xyz = np.array([[0, 0, 0], [10, 0, 0], [11, 0, 0], [1, 0, 0], [np.nan, 0, 0]], np.float32)
    said = np.array([3, 5, 255, 0, 255], np.uint8)
    assert fill_unknown(xyz, said, 16).tolist() == [3, 5, 5, 3, 3]
    assert fill_unknown(xyz, np.zeros(5, np.uint8), 16).tolist() == [1] * 5
    many = np.random.default_rng(0).normal(size=(2000, 3)).astype(np.float32)
    label = np.where(np.arange(2000) % 3, np.arange(2000) % 7 + 1, 0).astype(np.uint8)
    filled = fill_unknown(many, label, 7)
    known = np.flatnonzero(label)
    for i in np.flatnonzero(label == 0)[::50]:
        assert filled[i] == label[known[np.linalg.norm(many[known] - many[i], axis=1).argmin()]]


@pytest.fixture
def clouds(tmp_path: Path) -> ScanSet:
    for sequence, counts in (('11', (4, 6)), ('12', (3,))):
        folder = tmp_path / 'data' / 'sequences' / sequence / 'velodyne'
        folder.mkdir(parents=True)
        for i, count in enumerate(counts):
            np.zeros((count, 4), '<f4').tofile(folder / f'{i:06d}.bin')
    return semantic_kitti(tmp_path / 'data', '11,12')


PREDICTIONS = [('11/000000', np.array([1, 19, 0, 5], np.uint8)), ('11/000001', np.full(6, 9, np.uint8)),
               ('12/000000', np.full(3, 13, np.uint8))]


def test_a_semantic_kitti_submission_has_folders_raw_ids_and_passes_the_check(tmp_path: Path, clouds: ScanSet) -> None:
    path = semantic_kitti_submission.write_submission(tmp_path / 'out.zip', PREDICTIONS, SEMANTIC_KITTI)
    with zipfile.ZipFile(path) as archive:
        folders = [name for name in archive.namelist() if name.endswith('/')]
        assert folders == ['sequences/', 'sequences/11/', 'sequences/11/predictions/', 'sequences/12/',
                           'sequences/12/predictions/']
        raw = np.frombuffer(archive.read('sequences/11/predictions/000000.label'), '<u4')
        assert raw.tolist() == [10, 81, 0, 20]
    assert semantic_kitti_submission.check_submission(path, clouds) == 3
    assert not list(tmp_path.glob('.*'))


def rezip(path: Path, change: Callable[[dict[str, bytes]], Any]) -> Path:
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    change(content)
    with zipfile.ZipFile(path, 'w') as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


FIRST = 'sequences/11/predictions/000000.label'


@pytest.mark.parametrize(('change', 'words'), [
    (lambda c: c.pop('sequences/12/'), 'no entry for the folder sequences/12/'),
    (lambda c: c.pop(FIRST), f'lacks {FIRST}'),
    (lambda c: c.update({FIRST: b'\0' * 12}), f'{FIRST} in .* has 3 labels for 4 points'),
    (lambda c: c.update({FIRST: np.arange(4, dtype='<u4').tobytes()}), 'holds 1, which is no raw id.*not train ids'),
    (lambda c: c.update({'sequences/11/predictions/000009.label': b''}), '1 files that belong to no scan'),
])
def test_the_submission_check_names_the_fault(tmp_path: Path, clouds: ScanSet,
                                              change: Callable[[dict[str, bytes]], Any], words: str) -> None:
    path = semantic_kitti_submission.write_submission(tmp_path / 'out.zip', PREDICTIONS, SEMANTIC_KITTI)
    with pytest.raises(InputError, match=words):
        semantic_kitti_submission.check_submission(rezip(path, change), clouds)


def test_a_submission_that_cannot_be_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r'must end in \.zip'):
        semantic_kitti_submission.write_submission(tmp_path / 'out.tar', PREDICTIONS, SEMANTIC_KITTI)
    with pytest.raises(InputError, match='scan 11/000000 has train id 255'):
        semantic_kitti_submission.write_submission(tmp_path / 'out.zip', [('11/000000', np.array([255], np.uint8))],
                                                   SEMANTIC_KITTI)
    assert not list(tmp_path.iterdir())


class TwoScans:
    """A split of two sweeps of 3 and 2 points."""

    schema = NUSCENES
    scans = (Scan('a', 's'), Scan('b', 's'))

    def __len__(self) -> int:
        return 2

    def cloud(self, index: int) -> PointCloud:
        return PointCloud(np.zeros((3 - index, 3), np.float32), np.zeros(3 - index, np.float32))

    def points(self, index: int) -> int:
        return 3 - index

    def truth(self, index: int) -> Truth | None:
        return None

    def views(self, index: int, images: bool = True) -> tuple[CameraView, ...]:
        return ()


def test_a_nuscenes_submission_has_its_files_and_passes_the_check(tmp_path: Path) -> None:
    predictions = [('a', np.array([1, 16, 4], np.uint8)), ('b', np.array([2, 2], np.uint8))]
    assert nuscenes_submission.write_submission(tmp_path, 'test', predictions, ('use_lidar', 'use_camera')) == 2
    meta = json.loads((tmp_path / 'test' / 'submission.json').read_text())['meta']
    assert meta == {'use_camera': True, 'use_lidar': True, 'use_radar': False, 'use_map': False, 'use_external': False}
    assert nuscenes_submission.check_submission(tmp_path, 'test', TwoScans()) == 2
    file = tmp_path / 'lidarseg' / 'test' / 'b_lidarseg.bin'
    for content, words in ((b'\x01', '1 labels for 2 points'), (b'\x01\x00', r'ids 0\.\.1; each point needs a class')):
        file.write_bytes(content)
        with pytest.raises(InputError, match=words):
            nuscenes_submission.check_submission(tmp_path, 'test', TwoScans())
    file.unlink()
    with pytest.raises(InputError, match='lacks lidarseg/test/b_lidarseg.bin'):
        nuscenes_submission.check_submission(tmp_path, 'test', TwoScans())
    (tmp_path / 'test' / 'submission.json').write_text('{"meta": {"use_lidar": 1}}')
    with pytest.raises(InputError, match='exactly the booleans'):
        nuscenes_submission.check_submission(tmp_path, 'test', TwoScans())


def test_a_nuscenes_submission_needs_a_class_for_every_point(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r'prediction of a holds ids 0\.\.1'):
        nuscenes_submission.write_submission(tmp_path, 'val', [('a', np.array([0, 1], np.uint8))])
    with pytest.raises(InputError, match='use_sonar'):
        nuscenes_submission.write_submission(tmp_path, 'val', [], ('use_sonar',))


def test_the_picture_darkens_where_the_share_is_large(tmp_path: Path) -> None:
    names = ('unlabeled', 'car', 'road')
    picture = confusion_picture(matrix([1, 2, 2, 2], [1, 2, 2, 2], 2), names)
    cell = {(row, column): picture[-12 - (2 - row) * 34 + 4, -12 - (3 - column) * 34 + 4].astype(int).sum()
            for row in range(2) for column in range(3)}
    assert cell[0, 1] == cell[1, 2] < cell[0, 0] == cell[0, 2] == cell[1, 0]
    write_confusion_picture(tmp_path / 'deep' / 'confusion.png', matrix([1], [1], 2), names)
    assert (tmp_path / 'deep' / 'confusion.png').stat().st_size > 500
