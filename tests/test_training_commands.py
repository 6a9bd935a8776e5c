"""Train, evaluate, predict and export as a user types them, on tiny data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip('lightning', reason='training needs lightning (extra [train])')

import torch
import yaml
from tiny_runs import tiny_data, tiny_recipe, tiny_sweep
from typer.testing import CliRunner

if TYPE_CHECKING:
    from world_data import Written

from sam2amml_core.bundle import load_bundle
from sam2amml_core.errors import InputError
from sam2amml_core.frame import Frame
from sam2amml_core.labels import NUSCENES, SEMANTIC_KITTI
from sam2amml_core.segmenter import Segmenter
from training.calibration import SHARES
from training.checkpoint import open_checkpoint
from training.cli import app
from training.commands.evaluate import EvaluateOptions
from training.commands.evaluate import run as evaluate
from training.commands.export import adjust
from training.commands.export import run as export
from training.commands.predict import run as predict
from training.predictor import open_predictor
from training.recipe_files import recipe_yaml
from training.run import Machine
from training.run import train as train_run
from training.world.classes import SEMANTIC_KITTI_RAW

pytestmark = pytest.mark.filterwarnings('ignore')


@pytest.fixture(scope='module')
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A data set in SemanticKITTI's layout with its own splits, and a run on it that was started from the shell."""
    torch.set_num_threads(1)
    home = tmp_path_factory.mktemp('home')
    root = home / 'kitti'
    for split, seeds in (('train', (0, 1, 2)), ('val', (100,)), ('test', (200, 201))):
        folder = root / 'sequences' / f'{split}_0'
        for name in ('velodyne', 'labels'):
            (folder / name).mkdir(parents=True)
        for i, seed in enumerate(seeds):
            sweep = tiny_sweep(seed)
            np.column_stack((sweep.frame.cloud.xyz, sweep.frame.cloud.intensity)).astype('<f4').tofile(
                folder / 'velodyne' / f'{i:06d}.bin')
            SEMANTIC_KITTI_RAW[sweep.point_class].astype('<u4').tofile(folder / 'labels' / f'{i:06d}.label')
    (root / 'splits.yaml').write_text(yaml.safe_dump({s: [f'{s}_0'] for s in ('train', 'val', 'test')}))
    recipe = tiny_recipe(root, 'data.layout=semantic_kitti', 'augmentation.kind=none', 'loop.steps=60',
                         'loop.validate_every=30', 'loop.log_every=30', 'optimiser.learning_rate=0.01')
    (home / 'tiny.yaml').write_text(recipe_yaml(recipe))
    result = CliRunner().invoke(app, ['train', str(home / 'tiny.yaml'), '--folder', str(home / 'run'), '--threads', '1',
                                      '--accelerator', 'cpu', '--set', 'loop.seed=3'], catch_exceptions=False)
    assert result.exit_code == 0
    return root, home / 'run'


def test_a_trained_run_is_evaluated_on_its_own_data(trained: tuple[Path, Path]) -> None:
    root, run = trained
    result = evaluate(str(run), EvaluateOptions(), 'auto', 1, None, None)
    assert result == json.loads((run / 'scores_test.json').read_text())
    assert result['sweeps'] == 2 and result['miou_present'] > 50 and result['test_time_augmentation'] is None
    present = {name: value for name, value in result['per_class'].items() if value > 0}
    assert set(present) == {'car', 'road'}
    assert result['miou'] == pytest.approx(sum(present.values()) / 19, abs=0.01)  # SemanticKITTI: absent counts 0
    assert (run / 'confusion_test.png').is_file()
    voted = evaluate(str(run), EvaluateOptions(votes=True), 'auto', 1, None, None)
    assert voted['test_time_augmentation'] == '4 mirrorings' and (run / 'scores_test_votes.json').is_file()
    record = json.loads((run / 'run.json').read_text())
    assert record['seed'] == 3 and record['best_validation_miou'] > 0


def test_an_exported_run_labels_as_the_run_does(trained: tuple[Path, Path], tmp_path: Path) -> None:
    root, run = trained
    bundle = export('tiny', run, tmp_path / 'bundle', 'sam2amml export', 0, 'tiny sweeps')
    assert load_bundle(bundle).spec.provenance.steps == 60 and load_bundle(bundle).spec.provenance.seed == 3
    cloud = tiny_sweep(300).frame.cloud
    mine = open_predictor(str(run), SEMANTIC_KITTI)(cloud)
    theirs = open_predictor(str(bundle), SEMANTIC_KITTI)(cloud)
    assert np.mean(mine == theirs) > 0.99 and set(np.unique(mine)) <= {1, 9}
    unknown = Segmenter.open(str(bundle)).segment(Frame(cloud)).class_id
    assert (theirs[unknown == 255] > 0).all()
    with pytest.raises(InputError, match='--votes works on training runs only'):
        open_predictor(str(bundle), SEMANTIC_KITTI, votes=True)
    with pytest.raises(InputError, match='was trained for .tiny., not .other.'):
        export('other', run, tmp_path / 'b', '', 0, '')


def test_the_classifier_is_adjusted_on_validation_sweeps(trained: tuple[Path, Path], tmp_path: Path) -> None:
    _, run = trained
    sweeps = tiny_data(tmp_path / 'sweeps') / 'val'
    found = open_checkpoint(run, 19)
    before = found.network.state_dict()['network.classifier.bias'].clone()
    share = adjust(found, 'semantic_kitti', sweeps)
    assert share in SHARES and found.class_weight is not None
    after = found.network.state_dict()['network.classifier.bias']
    torch.testing.assert_close(after, before - share * found.class_weight.log())


def test_predictions_pass_the_check_of_the_benchmark(trained: tuple[Path, Path], tmp_path: Path) -> None:
    root, run = trained
    assert predict(str(run), root, 'test', 'auto', tmp_path / 'out.zip', 'auto', 1, False, ()) == 2


def test_models_of_other_classes_and_folders_of_nothing_are_refused(trained: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match='does not fit'):
        open_predictor(str(trained[1]), NUSCENES)
    with pytest.raises(InputError, match='holds neither bundle.yaml nor last.ckpt'):
        open_predictor(str(tmp_path), SEMANTIC_KITTI)
    with pytest.raises(InputError, match='classes of semantic_kitti apart, the data have those of nuscenes'):
        open_predictor('street64', NUSCENES)


@pytest.mark.parametrize('command', ['train', 'evaluate', 'predict', 'results', 'throughput', 'dataset',
                                     'streetworld', 'export'])
def test_every_command_has_help_a_person_can_use(command: str) -> None:
    result = CliRunner().invoke(app, [command, '--help'], env={'COLUMNS': '120', 'TERM': 'dumb'})
    assert result.exit_code == 0 and 'Usage' in result.output and len(result.output.splitlines()) > 8


def test_results_are_collected_over_seeds(trained: tuple[Path, Path], tmp_path: Path) -> None:
    from training.commands.results import run as results

    _, run = trained
    if not (run / 'scores_test.json').is_file():
        evaluate(str(run), EvaluateOptions(), 'auto', 1, None, None)
    scores = json.loads((run / 'scores_test.json').read_text())
    record = json.loads((run / 'run.json').read_text())
    for seed, change in ((0, -1.0), (1, 0.0), (2, 4.0)):  # means and spread worked out by hand: 1 and sqrt(7)
        folder = tmp_path / 'runs' / f'seed{seed}'
        folder.mkdir(parents=True)
        (folder / 'run.json').write_text(json.dumps({**record, 'seed': seed}))
        (folder / 'scores_test.json').write_text(json.dumps({**scores, 'miou': 20 + change}))
    (tmp_path / 'runs' / 'unfinished').mkdir()
    (tmp_path / 'runs' / 'unfinished' / 'run.json').write_text('{}')
    (tmp_path / 'model.json').write_text(json.dumps({**scores, 'model': 'street64'}))
    page = results(tmp_path / 'runs', [tmp_path / 'model.json'], 'test', tmp_path / 'docs' / 'results.md')
    shipped, row = json.loads((tmp_path / 'docs' / 'results.json').read_text())
    assert row['seeds'] == [0, 1, 2] and row['miou_mean'] == 21 and row['miou_std'] == pytest.approx(7**0.5, abs=0.01)
    assert row['experiment'] == 'tiny' and row['label_fraction'] == 1 and row['backbone'] == 'frustum_range_net'
    assert {'variant', 'miou_in_frustum', 'miou_out_of_frustum', 'per_class'} <= set(row)
    assert row['runs'][0]['commit'] == record['commit'] and row['runs'][0]['hardware'] == record['hardware']
    assert shipped['seeds'] == [] and shipped['miou_std'] is None
    text = page.read_text()
    assert '21.00 ± 2.65' in text and 'street64 (shipped)' in text and record['command'] in text
    for seed, gain in ((0, 1.0), (1, 3.0), (2, 5.0)):  # mean 3, interval 3 -+ 4.3027 * 2 / sqrt(3)
        folder = tmp_path / 'more' / f'seed{seed}'
        folder.mkdir(parents=True)
        (folder / 'run.json').write_text(json.dumps({**record, 'seed': seed, 'variant': 'masks'}))
        miou = row['runs'][seed]['miou'] + gain
        (folder / 'scores_test.json').write_text(json.dumps({**scores, 'miou': miou, 'miou_in_frustum': None}))
    (tmp_path / 'note.md').write_text('Of the author.')
    results(tmp_path / 'more', [], 'test', page, tmp_path / 'note.md', keep=True)
    kept, base, better = json.loads((tmp_path / 'docs' / 'results.json').read_text())
    assert (kept, base) == (shipped, row)
    assert better['versus_baseline']['miou'] == {'pairs': 3, 'mean': 3.0, 'low': -1.97, 'high': 7.97}
    assert better['versus_baseline']['miou_in_frustum'] is None
    assert '+3.00 [-1.97, +7.97]' in page.read_text() and 'Of the author.' in page.read_text()
    (tmp_path / 'runs' / 'seed1' / 'run.json').write_text(json.dumps({**record, 'seed': 2}))
    with pytest.raises(InputError, match='share a seed'):
        results(tmp_path / 'runs', [], 'test', page)
    with pytest.raises(InputError, match='no finished run with scores_val'):
        results(tmp_path / 'runs', [], 'val', page)


def test_throughput_is_measured(trained: tuple[Path, Path], tmp_path: Path) -> None:
    from training.commands.throughput import run as throughput

    recipe = tmp_path.parent / 'tiny.yaml'
    recipe.write_text((trained[1] / 'recipe.yaml').read_text())
    result = throughput(str(recipe), (), 0.1, 1, tmp_path / 'out.json')
    assert result['loader_per_s'] > 0 and result['training_per_s'] > 0
    assert result['ratio'] == pytest.approx(result['loader_per_s'] / result['training_per_s'], rel=0.05)
    assert json.loads((tmp_path / 'out.json').read_text()) == result


def test_classes_of_ones_own_go_into_the_bundle_and_come_back(trained: tuple[Path, Path], tmp_path: Path) -> None:
    root, _ = trained
    own = tmp_path / 'own'
    own.mkdir()
    for split in ('train', 'val'):
        (own / split).symlink_to(root / 'sequences' / f'{split}_0')
    (own / 'dataset.yaml').write_text(yaml.safe_dump({
        'name': 'yard', 'splits': {'train': ['train'], 'val': ['val']},
        'classes': [{'name': 'ground', 'color': [1, 2, 3], 'raw': {40: 'road'}},
                    {'name': 'thing', 'color': [4, 5, 6], 'raw': {10: 'car'}}]}))
    recipe = tiny_recipe(own, 'data.layout=own', 'loop.steps=1', 'loop.validate_every=1', 'augmentation.kind=none')
    train_run(recipe, tmp_path / 'run', Machine('cpu', progress=False))
    bundle = load_bundle(export('tiny', tmp_path / 'run', tmp_path / 'bundle', '', 0, 'own'))
    assert bundle.schema.names == ('unlabeled', 'ground', 'thing') and bundle.spec.schema_name == 'yard'
    assert bundle.schema.train_to_raw.tolist() == [0, 40, 10] and bundle.schema.colors[2].tolist() == [4, 5, 6]
    result = evaluate(str(bundle.path), EvaluateOptions(data=own, split='val'), 'auto', 1, None, None)
    assert result['schema'] == 'yard' and set(result['per_class']) <= {'ground', 'thing'}


def test_nuscenes_goes_through_training_scoring_and_submission(nuscenes_data: Written, tmp_path: Path) -> None:
    recipe = tiny_recipe(nuscenes_data[0], 'data.layout=nuscenes', 'loop.steps=2', 'loop.validate_every=2',
                         'loop.batch=1', 'augmentation.pasted=[car, pedestrian]',
                         'augmentation.ground=[driveable_surface]')
    task = train_run(recipe, tmp_path / 'run', Machine('cpu', progress=False))
    assert task.validations[0]['miou'] >= 0 and task.schema is NUSCENES
    result = evaluate(str(tmp_path / 'run'), EvaluateOptions(split='val'), 'auto', 1, None, None)
    assert result['schema'] == 'nuscenes' and result['sweeps'] == 4 and result['fwiou'] is not None
    assert result['miou_in_frustum'] is not None and result['miou_out_of_frustum'] is not None
    output = tmp_path / 'submission'
    written = predict(str(tmp_path / 'run'), nuscenes_data[0], 'val', 'auto', output, 'auto', 1, False, ('use_lidar',))
    assert written == 4
    assert len(list((output / 'lidarseg' / 'val').glob('*_lidarseg.bin'))) == 4
