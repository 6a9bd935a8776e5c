"""Who may import whom: sam2amml_ros -> sam2amml_core <- training, and nothing heavy where a vehicle needs none."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ('sam2amml_core', 'sam2amml_ros', 'training')
ALLOWED = {'sam2amml_core': {'sam2amml_core'}, 'sam2amml_ros': {'sam2amml_core', 'sam2amml_ros'},
           'training': {'sam2amml_core', 'training'}}
ROS = {'rclpy', 'sensor_msgs', 'std_msgs', 'nav_msgs', 'geometry_msgs', 'diagnostic_msgs', 'visualization_msgs',
       'message_filters', 'tf2_ros', 'cv_bridge', 'sensor_msgs_py', 'launch', 'launch_ros'}
HEAVY = ('torch', 'torchvision', 'sam2', 'hydra', 'lightning', 'ray', 'skimage', 'scipy', 'spconv', 'tensorrt', 'onnx')


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Top-level packages a file imports anywhere, also inside functions, with their lines."""
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'), str(path))):
        if isinstance(node, ast.Import):
            yield from ((alias.name.split('.')[0], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (path.relative_to(ROOT).parts[0] if node.level else (node.module or '').split('.')[0]), node.lineno


@pytest.mark.parametrize('package', PACKAGES)
def test_packages_import_in_one_direction(package: str) -> None:
    forbidden = (set(PACKAGES) - ALLOWED[package]) | (ROS if package != 'sam2amml_ros' else set())
    files = sorted((ROOT / package).rglob('*.py'))
    assert files
    wrong = [f'{path.relative_to(ROOT)}:{line} imports {name}'
             for path in files for name, line in imports(path) if name in forbidden]
    assert not wrong, '\n'.join(wrong)


@pytest.mark.parametrize('module', [
    'sam2amml_core.segmenter', 'sam2amml_core.commands.segment', 'sam2amml_core.geometry.projection',
    'sam2amml_ros.segmentation_node', 'sam2amml_ros.playback_node', 'sam2amml_ros.recorder_node', 'sam2amml_ros.demo',
    'training.cli', 'training.commands.world_bag',
])
def test_the_vehicle_and_the_demo_load_nothing_heavy(module: str) -> None:
    if module.startswith('sam2amml_ros'):
        pytest.importorskip('rclpy')
    code = (f'import sys, json, importlib\nimportlib.import_module({module!r})\n'
            f'print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))')
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=False,
                          timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.strip().splitlines()[-1]) == []
