"""What pip, colcon and a reader of the README rely on agrees with what is in the repository."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from importlib import import_module, metadata
from pathlib import Path

import pytest
import yaml

from sam2amml_core.bundle import load_bundle

ROOT = Path(__file__).parents[1]
README = (ROOT / 'README.md').read_text(encoding='utf-8')
DOCUMENTS = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', ROOT / 'CHANGELOG.md', *sorted((ROOT / 'docs').glob('*.md'))]


def make_targets() -> set[str]:
    return set(re.findall(r'^([a-z][a-z0-9-]*):.*## ', (ROOT / 'Makefile').read_text(encoding='utf-8'), re.MULTILINE))


def setup_arguments() -> dict[str, ast.expr]:
    for node in ast.walk(ast.parse((ROOT / 'setup.py').read_text(encoding='utf-8'))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'setup':
            return {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
    raise AssertionError('setup.py calls no setup()')


def test_pip_and_ros_name_the_same_package_and_version() -> None:
    package = ElementTree.parse(ROOT / 'package.xml').getroot()
    installed = metadata.metadata('sam2amml')
    assert package.findtext('name') == installed['Name'] == 'sam2amml'
    assert package.findtext('version') == installed['Version']
    assert package.findtext('license') == 'Apache-2.0'
    assert package.findtext('export/build_type') == 'ament_python'
    assert f'## {installed["Version"]}' in (ROOT / 'CHANGELOG.md').read_text(encoding='utf-8')


def test_every_required_package_has_an_exact_version() -> None:
    pinned = {re.split('==', line)[0].lower().replace('_', '-')
              for line in (ROOT / 'constraints.txt').read_text(encoding='utf-8').splitlines() if '==' in line}
    required = {re.split(r'[\s;<>=!\[(~]', entry)[0].lower().replace('_', '-')
                for entry in metadata.requires('sam2amml') or []}
    assert len(required) > 20
    assert required - pinned == set()


def test_executables_exist() -> None:
    points = [point for point in metadata.distribution('sam2amml').entry_points if point.group == 'console_scripts']
    assert {'sam2amml', 'segmentation_node', 'playback_node', 'recorder_node'} <= {point.name for point in points}
    for point in points:
        if point.module.startswith('sam2amml_ros'):
            pytest.importorskip('rclpy')
        assert callable(getattr(import_module(point.module), point.attr))


def test_ros_gets_everything_that_lies_in_its_folders() -> None:
    data_files = ast.unparse(setup_arguments()['data_files'])
    for folder in ('launch', 'config', 'rviz', 'resource'):
        assert folder in data_files
        assert any((ROOT / folder).iterdir())
    assert (ROOT / 'resource' / 'sam2amml').is_file()


@pytest.mark.parametrize('name', ['street64', 'street32'])
def test_shipped_models_are_small_whole_and_say_where_they_come_from(name: str) -> None:
    bundle = load_bundle(name)  # checks the sha256
    assert bundle.onnx_path.stat().st_size < 8_000_000
    record = yaml.safe_load((ROOT / 'sam2amml_core' / 'models' / name / 'bundle.yaml').read_text())['provenance']
    assert {'command', 'seed', 'commit', 'data', 'metrics'} <= set(record)


def test_ci_and_readme_give_the_same_commands() -> None:
    ci = [line for line in (ROOT / '.ci' / 'run').read_text(encoding='utf-8').splitlines() if line.startswith('make ')]
    assert ci[:2] == ['make demo', 'make test']
    for command in ci:
        assert f'{command}\n' in README or f'`{command}`' in README, f'{command} is not in README.md'
        assert command.removeprefix('make ') in make_targets()


def test_every_make_target_and_command_the_documents_name_exists() -> None:
    plain = {'COLUMNS': '200', 'PATH': '/usr/bin:/bin', 'TERM': 'dumb'}
    listed = subprocess.run([sys.executable, '-m', 'training.cli', '--help'], capture_output=True, text=True,
                            check=True, cwd=ROOT, env=plain).stdout
    for path in DOCUMENTS:
        text = path.read_text(encoding='utf-8')
        for target in re.findall(r'^make ([a-z0-9-]+)', text, re.MULTILINE) + re.findall(r'`make ([a-z0-9-]+)', text):
            assert target in make_targets() or target == 'help', f'{path.name}: make {target}'
        for command in re.findall(r'(?:^|`)sam2amml ([a-z][a-z0-9-]+)', text, re.MULTILINE):
            assert re.search(rf'\b{command}\b', listed), f'{path.name}: sam2amml {command}'


@pytest.mark.parametrize('path', DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    for target in re.findall(r'\]\(([^)\s]+)\)', path.read_text(encoding='utf-8')):
        if not target.startswith(('http://', 'https://', '#')):
            assert (path.parent / target.split('#')[0]).exists(), f'{path.name} links to {target}'


@pytest.mark.parametrize(('command', 'package', 'extra'), [
    (['sweeps'], 'embreex', 'world'), (['train-sam2'], 'torch', 'train'), (['evaluate'], 'torch', 'train')])
def test_a_missing_package_is_named_with_the_extra_that_brings_it(command: list[str], package: str, extra: str) -> None:
    code = (f'import sys\nsys.modules[{package!r}] = None\nsys.argv[1:] = {command!r}\n'
            'from training.cli import main\nmain()')
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"'{package}', which is not installed" in done.stderr
    assert f'[{extra}]' in done.stderr
    assert 'Traceback' not in done.stderr
