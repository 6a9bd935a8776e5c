"""The training loop: exact resume, accumulation, two processes, early stop, corrupt samples, NaN."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('lightning', reason='the loop needs lightning (extra [train])')

import torch
from lightning.pytorch import Callback
from tiny_runs import tiny_data, tiny_recipe

from sam2amml_core.errors import InputError
from training.batches import StepSampler, TrainingSamples, dense_masks, join
from training.checkpoint import open_checkpoint, read_checkpoint
from training.datasets.stored_masks import StoredMasks
from training.loop import SegmentationTask
from training.recipe_files import find_recipe
from training.run import Machine, prepare_task, train
from training.run_record import read_record
from training.sync_norm import synchronise_norms

CPU = Machine('cpu', progress=False)
HERE = Path(__file__).parent

pytestmark = pytest.mark.filterwarnings('ignore')


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return tiny_data(tmp_path_factory.mktemp('data'))


class Kill(Callback):
    """Ends the run in the middle of a step, as a power cut would."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self.step:
            raise RuntimeError('killed')


def log(folder: Path) -> list[dict[str, str]]:
    with (folder / 'log.csv').open(encoding='utf-8') as stream:
        return [{k: v for k, v in row.items() if k != 'minutes'} for row in csv.DictReader(stream)]


@pytest.fixture(scope='module')
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SegmentationTask]:
    folder = tmp_path_factory.mktemp('runs') / 'whole'
    return folder, train(tiny_recipe(data), folder, CPU, command='sam2amml train tiny')


def test_a_killed_run_goes_on_to_the_same_bits(data: Path, whole: tuple[Path, SegmentationTask], tmp_path: Path
                                               ) -> None:
    with pytest.raises(RuntimeError, match='killed'):
        train(tiny_recipe(data), tmp_path / 'run', CPU, command='first', callbacks=(Kill(3),))
    assert [row['step'] for row in log(tmp_path / 'run')] == ['1', '2']
    resumed = train(tiny_recipe(data), tmp_path / 'run', CPU, resume=True, command='again')
    record = read_record(tmp_path / 'run')
    assert record['command'] == 'first' and [again['command'] for again in record['continued']] == ['again']
    assert open_checkpoint(tmp_path / 'run', 19).command == 'first; resumed: again'
    assert log(tmp_path / 'run') == log(whole[0])
    for mine, theirs in ((resumed.network, whole[1].network), (resumed.final_network, whole[1].final_network)):
        for name, value in theirs.state_dict().items():
            assert torch.equal(mine.state_dict()[name], value), name
    assert resumed.validations[-1]['miou'] == whole[1].validations[-1]['miou']


def test_a_run_leaves_its_record(whole: tuple[Path, SegmentationTask]) -> None:
    folder, task = whole
    record = read_record(folder)
    assert record['backbone'] == 'frustum_range_net' and record['seed'] == 0 and record['steps_done'] == 4
    assert record['hardware'] and torch.__version__.startswith(record['versions']['torch']) and record['minutes'] > 0
    assert record['command'] == 'sam2amml train tiny' and len(record['commit']) >= 12
    assert len(record['validations']) == 2 and record['best_validation_miou'] == task.best > 0
    assert (folder / 'scans.txt').read_text().split() == [f'world_{i:05d}_00' for i in range(4)]
    assert find_recipe(folder / 'recipe.yaml') == task.recipe
    assert list((folder / 'tensorboard').glob('events*')) and not list(folder.glob('.*part'))


def test_a_checkpoint_is_a_network(whole: tuple[Path, SegmentationTask], tmp_path: Path) -> None:
    folder, task = whole
    found = open_checkpoint(folder, 19)
    assert found.step == 4 and not found.network.training and found.class_weight is not None
    for name, value in task.final_network.state_dict().items():
        assert torch.equal(found.network.state_dict()[name], value), name
    assert open_checkpoint(folder / 'best.ckpt', 19).best == task.best
    with pytest.raises(InputError, match='does not fit a frustum_range_net of 16 classes'):
        open_checkpoint(folder, 16)
    (tmp_path / 'last.ckpt').write_bytes(b'torn')
    with pytest.raises(InputError, match=r'cannot read checkpoint .*last\.ckpt'):
        read_checkpoint(tmp_path)


def test_folders_of_runs_are_not_mixed_up(data: Path, whole: tuple[Path, SegmentationTask], tmp_path: Path) -> None:
    with pytest.raises(InputError, match='holds a run already; add --resume'):
        train(tiny_recipe(data), whole[0], CPU)
    with pytest.raises(InputError, match='to resume from; train without'):
        train(tiny_recipe(data), tmp_path, CPU, resume=True)
    with pytest.raises(InputError, match='trained with another backbone'):
        train(tiny_recipe(data, 'backbone=minkunet18_small'), whole[0], CPU, resume=True)


def test_another_backbone_learns(data: Path, tmp_path: Path) -> None:
    changes = ('backbone=minkunet18_small', 'loop.steps=12', 'loop.validate_every=12', 'augmentation.kind=none',
               'loop.ema=null', 'optimiser.learning_rate=0.01')
    recipe = tiny_recipe(data, *changes)
    task = train(recipe, tmp_path, CPU)
    losses = [row['loss'] for row in task.history]
    assert np.mean(losses[-3:]) < 0.6 * np.mean(losses[:2])


def accumulated(data: Path, *changes: str) -> SegmentationTask:
    """Gradients of the first step, norms frozen so that they do not tell batches apart."""
    return prepare_task(tiny_recipe(data, 'loop.ema=null', 'data.validation=null', *changes), data / 'counts')


def test_accumulated_batches_make_the_gradient_of_a_larger_one(data: Path) -> None:
    gradients = []
    for batch, number in ((4, 1), (2, 2), (1, 4)):
        task = accumulated(data, f'loop.batch={batch}', f'loop.accumulate={number}')
        task.network.eval()
        task._trainer = None
        for sampled in list(StepSampler(batch, 0, number)):
            parts = join([task.samples[i] for i in sampled])
            logits = task.network(parts.points).logits
            from sam2amml_core.losses.segmentation_mean import mean_cross_entropy, mean_lovasz_softmax

            loss = mean_cross_entropy(logits, parts.label, parts.chosen, task.class_weight)
            loss = loss + mean_lovasz_softmax(logits, parts.label, parts.chosen, 400)
            (loss / number).backward()
        gradients.append(torch.cat([p.grad.ravel() for p in task.network.parameters() if p.grad is not None]))
    for other in gradients[1:]:
        torch.testing.assert_close(other, gradients[0], rtol=1e-3, atol=1e-5)


def test_processes_share_the_samples_of_one_larger_batch() -> None:
    one = [number for batch in StepSampler(4, 1, 3) for number in batch]
    halves = [list(StepSampler(2, 1, 3, rank, 2)) for rank in (0, 1)]
    assert sorted(number for half in halves for batch in half for number in batch) == sorted(one) == list(range(4, 12))
    assert sorted(halves[0][0] + halves[1][0]) == [4, 5, 6, 7]


DDP = """
import json, sys, warnings
warnings.simplefilter('ignore')
sys.path.insert(0, {tests!r})
import torch
torch.set_num_threads(1)
from pathlib import Path
from tiny_runs import tiny_recipe
from training.run import Machine, train
data, out = Path(sys.argv[1]), Path(sys.argv[2])
changes = ('loop.steps=3', 'loop.validate_every=3')
# the two processes first: a process that has run backward cannot be forked
two = Machine('cpu', '2', strategy='ddp_fork', progress=False)
train(tiny_recipe(data, 'loop.batch=1', *changes), out / 'two', two)
train(tiny_recipe(data, 'loop.batch=2', *changes), out / 'one', Machine('cpu', progress=False))
"""


def test_two_processes_have_the_loss_of_one_with_twice_the_batch(data: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, '-c', DDP.format(tests=str(HERE)), str(data), str(tmp_path)], check=True,
                   cwd=HERE.parent, timeout=200, capture_output=True)
    two, one = log(tmp_path / 'two'), log(tmp_path / 'one')
    assert len(two) == len(one) == 3
    for name, points in (('loss', 0), ('cross_entropy', 0), ('lovasz', 0), ('accuracy', 1)):  # one point may flip
        np.testing.assert_allclose([float(row[name]) for row in two], [float(row[name]) for row in one], rtol=2e-4,
                                   atol=points / 800, err_msg=name)
    records = [json.loads((tmp_path / name / 'run.json').read_text()) for name in ('two', 'one')]
    assert [record['processes'] for record in records] == [2, 1]
    mious = [record['validations'][-1]['miou'] for record in records]
    assert mious[0] == pytest.approx(mious[1], abs=0.3)


def test_synchronised_norms_alone_are_plain_norms() -> None:
    torch.manual_seed(0)
    plain = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 1), torch.nn.BatchNorm2d(3))
    names = list(plain.state_dict())
    x = torch.randn(4, 2, 5, 5)
    expected = plain(x)
    synchronise_norms(plain)
    assert list(plain.state_dict()) == names
    torch.testing.assert_close(plain(x), expected)


def test_masks_of_a_batch_are_dense_and_not_shared_by_its_sweeps() -> None:
    far = 3 << 20
    one, two = np.array([0, far + 7, far + 2, 0, far + 7]), np.array([far + 7, 5, far + 7])
    assert dense_masks([one, two, np.zeros(2, int), np.array([9])]).tolist() == [0, 2, 1, 0, 2, 4, 3, 4, 0, 0, 5]
    assert dense_masks([np.zeros(0, int), np.array([4, 0])]).tolist() == [1, 0]


def test_a_sample_depends_on_seed_and_number_alone(data: Path) -> None:
    task = prepare_task(tiny_recipe(data), data)
    first = [task.samples[n] for n in (0, 1, 2)]
    again = [task.samples[n] for n in (2, 0, 1)]
    for a, b in zip(first, (again[1], again[2], again[0]), strict=True):
        np.testing.assert_array_equal(a.cloud.xyz, b.cloud.xyz)
        np.testing.assert_array_equal(a.chosen, b.chosen)
    other = prepare_task(tiny_recipe(data, 'loop.seed=1'), data).samples[0]
    assert other.cloud.xyz.shape != first[0].cloud.xyz.shape or np.abs(other.cloud.xyz - first[0].cloud.xyz).max() > 0


def test_even_draws_take_every_sweep_once_an_epoch(data: Path) -> None:
    samples = prepare_task(tiny_recipe(data, 'data.draw=even'), data).samples
    epochs = [[samples.index(n) for n in range(start, start + 4)] for start in (0, 4, 8, 12)]
    assert all(sorted(epoch) == [0, 1, 2, 3] for epoch in epochs) and len({tuple(e) for e in epochs}) > 1


def test_corrupt_samples_stop_the_run_or_are_skipped_and_counted(data: Path, tmp_path: Path) -> None:
    broken = tiny_data(tmp_path / 'data')
    (broken / 'train' / 'world_00002_00.npz').write_bytes(b'torn')
    settings = ('data.draw=even', 'losses.class_power=0', 'augmentation.kind=none', 'data.validation=null')
    with pytest.raises(InputError, match=r'world_00002_00\.npz cannot be read'):
        train(tiny_recipe(broken, *settings), tmp_path / 'stopped', CPU)
    task = train(tiny_recipe(broken, *settings, 'data.on_corrupt=skip'), tmp_path / 'run', CPU)
    (fault, count), = task.skipped.items()
    assert 'world_00002_00.npz' in fault and count >= 2  # 8 samples of 4 sweeps
    assert read_record(tmp_path / 'run')['skipped'] == task.skipped


def test_a_loss_that_is_not_a_number_names_the_sweeps(data: Path, tmp_path: Path) -> None:
    class Poison(Callback):
        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
            with torch.no_grad():
                next(iter(pl_module.network.parameters())).fill_(float('nan'))

    with pytest.raises(InputError, match=r'the loss is nan at step 0 on world_0000\d_00, world_0000\d_00'):
        train(tiny_recipe(data), tmp_path, CPU, callbacks=(Poison(),))


def test_a_run_stops_early_when_validation_does_not_improve(data: Path, tmp_path: Path) -> None:
    still = ('optimiser.learning_rate=1e-12', 'loop.steps=20', 'loop.validate_every=1', 'loop.early_stop=2',
             'loop.ema=null')
    task = train(tiny_recipe(data, *still), tmp_path, CPU)
    assert task.global_step < 20 and task.since_best == 2


def test_minutes_end_a_run_too(data: Path, tmp_path: Path) -> None:
    task = train(tiny_recipe(data, 'loop.steps=100000', 'loop.minutes=0.02', 'loop.validate_every=100000',
                             'data.validation=null'), tmp_path, CPU)
    assert 0 < task.global_step < 100000 and (tmp_path / 'last.ckpt').is_file()
    assert task.history[-1]['learning_rate'] < 0.2 * max(row['learning_rate'] for row in task.history)
    again = train(tiny_recipe(data, 'loop.steps=100000', 'loop.minutes=0.04', 'loop.validate_every=100000',
                              'data.validation=null'), tmp_path, CPU, resume=True)
    steps = [int(row['step']) for row in log(tmp_path)]
    assert steps == list(range(1, again.global_step + 1)) and again.global_step > task.global_step
    assert again.batches_done == again.global_step and again.minutes >= 0.04


def test_background_workers_prepare_the_same_batches(data: Path) -> None:
    task = prepare_task(tiny_recipe(data), data)
    samples: TrainingSamples = task.samples
    loader = torch.utils.data.DataLoader(samples, batch_sampler=StepSampler(2, 0, 2), collate_fn=join, num_workers=1)
    for batch, numbers in zip(loader, StepSampler(2, 0, 2), strict=True):
        expected = join([samples[n] for n in numbers])
        torch.testing.assert_close(batch.points.points, expected.points.points)
        assert torch.equal(batch.label, expected.label) and batch.names == expected.names


def test_mask_consistency_joins_the_loss(data: Path, tmp_path: Path) -> None:
    task = prepare_task(tiny_recipe(data, 'losses.consistency=0.5', f'data.masks={tmp_path}', 'augmentation.kind=none'),
                        data)
    task.samples.masks = lambda scans, index: np.arange(scans.points(index)) // 40
    values = task.losses(join([task.samples[0], task.samples[1]]))
    plain = values['cross_entropy'] + values['lovasz']
    assert float(values['consistency'].detach()) > 0
    torch.testing.assert_close(values['loss'], plain + 0.5 * values['consistency'])


@pytest.mark.parametrize(('changes', 'words'), [
    (['losses.consistency=1'], r'need masks; give their folder as data\.masks'),
    (['losses.mask_vote=1'], r'need masks; give their folder as data\.masks'),
    (['losses.teacher=average', 'loop.ema=null'], r'set loop\.ema'),
    (['losses.teacher=average', 'losses.divergence=jensen_shannon'], 'takes no teacher'),
    (['data.unlabelled=1', 'data.fraction=0.5'], r'needs losses\.consistency'),
    (['data.unlabelled=1', 'losses.consistency=1', 'data.masks=here'], 'every sweep has labels'),
])
def test_settings_of_masks_that_cannot_work_are_refused(data: Path, changes: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        tiny_recipe(data, *changes)


def test_sweeps_without_labels_join_with_consistency_alone(data: Path, tmp_path: Path) -> None:
    settings = ('data.fraction=0.5', 'losses.class_power=0', 'losses.mask_vote=0.3', f'data.masks={tmp_path}')
    task = prepare_task(tiny_recipe(data, *settings), data)
    mixed = prepare_task(tiny_recipe(data, *settings, 'losses.consistency=1', 'data.unlabelled=1'), data)
    for samples in (task.samples, mixed.samples, mixed.samples._unlabelled):
        assert samples is not None
        samples.masks = lambda scans, index: np.arange(scans.points(index)) // 40
    known = {scan.name for scan in task.samples.data.scans}
    labelled, unlabelled = mixed.samples[0], mixed.samples[-1]
    assert np.array_equal(labelled.label, task.samples[0].label)  # the same labelled sweeps as without
    assert unlabelled.name not in known and not unlabelled.label.any() and not len(unlabelled.chosen)
    batch = join([labelled, mixed.samples[1], unlabelled])
    assert len(batch.names) == 3 and len(batch.chosen) == 2
    assert list(StepSampler(2, 3, 5, 1, 2, unlabelled=1)) == [[14, 15, -8], [18, 19, -10]]
    mixed.network.eval()  # with fixed norms one sweep does not touch another, so labels teach as they did without it
    mixed.recipe = mixed.recipe.model_copy(update={
        'losses': mixed.recipe.losses.model_copy(update={'points': 10**6})})
    values, alone = mixed.losses(batch), mixed.losses(join([labelled, mixed.samples[1]]))
    for name in ('cross_entropy', 'lovasz', 'mask_vote'):
        torch.testing.assert_close(values[name], alone[name])
    assert float(values['consistency'].detach()) != float(alone['consistency'].detach())
    with pytest.raises(IndexError):
        _ = task.samples[-1]


def test_masks_without_labels_must_be_sure_enough(data: Path, tmp_path: Path) -> None:
    settings = ('data.fraction=0.5', 'data.unlabelled=1', f'data.masks={tmp_path}', 'losses.consistency=1')
    found = []
    for sure in (0.0, 1.0):
        task = prepare_task(tiny_recipe(data, *settings, f'losses.min_agreement={sure}'), data)
        assert task.samples._unlabelled is not None
        task.samples.masks = lambda scans, index: np.zeros(scans.points(index), np.int64)
        task.samples._unlabelled.masks = lambda scans, index: np.arange(scans.points(index)) // 40
        found.append(float(task.losses(join([task.samples[0], task.samples[-1]]))['consistency'].detach()))
    assert found[0] > 0 and found[1] == 0


def test_masks_do_nothing_before_their_start(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StoredMasks, '__call__', lambda _, scans, index: np.arange(scans.points(index)) // 40)
    settings = (f'data.masks={tmp_path}', 'losses.mask_vote=1', 'loop.steps=2')
    first, late, later = (train(tiny_recipe(data, *settings, f'losses.mask_start={start}'), tmp_path / start,
                                CPU).network.state_dict() for start in ('0', '0.6', '0.9'))
    assert all(torch.equal(late[name], later[name]) for name in late)
    assert not all(torch.equal(first[name], later[name]) for name in later)


def test_the_average_may_say_what_masks_should(data: Path, tmp_path: Path) -> None:
    settings = (f'data.masks={tmp_path}', 'losses.consistency=1', 'augmentation.kind=none')
    own = prepare_task(tiny_recipe(data, *settings), data)
    told = prepare_task(tiny_recipe(data, *settings, 'losses.teacher=average'), data)
    for task in (own, told):
        task.samples.masks = lambda scans, index: np.arange(scans.points(index)) // 40
        task.network.eval()
    batch = join([own.samples[0], own.samples[1]])
    same = told.losses(batch)['consistency']
    torch.testing.assert_close(own.losses(batch)['consistency'], same)  # as long as the average is the network
    with torch.no_grad():
        for weights in told.final_network.parameters():
            weights.mul_(1.5)
    values = told.losses(batch)
    assert float(values['consistency'].detach()) != pytest.approx(float(same.detach()), rel=1e-3)
    values['loss'].backward()
    assert all(p.grad is None for p in told.final_network.parameters())
