from __future__ import annotations

import ast
import dataclasses
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml

pytest.importorskip('rclpy', reason='the ROS package needs rclpy (extra [ros], or a ROS 2 installation)')

from ros_peer import new_domain, node_process
from test_segment_command import bundle  # noqa: F401 (a fixture: a network that labels by height)

from sam2amml_ros import transport
from sam2amml_ros.parameters import NodeParameters

ROOT = Path(__file__).parents[1]
PARAMETERS = ROOT / 'config' / 'segmentation.param.yaml'
XML = '{http://www.eprosima.com}'


@pytest.mark.parametrize(('free', 'segment'), [(24 << 30, 256 << 20), (60 << 20, 16 << 20), (0, 16 << 20)])
def test_the_profile_reserves_as_much_shared_memory_as_the_machine_can_give(
        monkeypatch: pytest.MonkeyPatch, free: int, segment: int) -> None:
    monkeypatch.setattr(transport, 'free_shared_memory', lambda: free)
    monkeypatch.delenv(transport.PROFILE_VARIABLE, raising=False)
    profile = ElementTree.parse(transport.environment()[transport.PROFILE_VARIABLE])
    assert [int(e.text or 0) for e in profile.iter(f'{XML}segment_size')] == [segment]
    assert [e.text for e in profile.iter(f'{XML}useBuiltinTransports')] == ['false']
    assert {e.text for e in profile.iter(f'{XML}type')} == {'SHM', 'UDPv4'}
    largest = [int(e.text or 0) for e in profile.iter(f'{XML}maxMessageSize')]
    assert largest[0] <= segment


def test_a_profile_that_the_user_has_set_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(transport.PROFILE_VARIABLE, '/etc/mine.xml')
    assert transport.environment()[transport.PROFILE_VARIABLE] == '/etc/mine.xml'


def test_a_domain_keeps_discovery_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('ROS_DOMAIN_ID', '7')
    assert transport.environment()['ROS_DOMAIN_ID'] == '7'
    env = transport.environment(domain_id=42)
    assert (env['ROS_DOMAIN_ID'], env['ROS_AUTOMATIC_DISCOVERY_RANGE']) == ('42', 'LOCALHOST')


def test_the_parameter_file_names_every_parameter_and_the_node_takes_it(bundle: Path, tmp_path: Path) -> None:  # noqa: F811
    content = yaml.safe_load(PARAMETERS.read_text())['/**']['ros__parameters']
    assert set(content) == {field.name for field in dataclasses.fields(NodeParameters)}
    arguments = ['--params-file', str(PARAMETERS), '-p', f'model:={bundle}']
    with node_process('segmentation_node', arguments, new_domain(), tmp_path / 'log') as node:
        node.wait_for('cameras: none')


@pytest.mark.parametrize('name', ['segmentation', 'playback'])
def test_launch_files_are_python_that_describes_a_launch(name: str) -> None:
    source = (ROOT / 'launch' / f'{name}.launch.py').read_text()
    functions = {node.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)}
    assert 'generate_launch_description' in functions


def test_rviz_shows_the_topics_the_node_publishes() -> None:
    displays = yaml.safe_load((ROOT / 'rviz' / 'segmentation.rviz').read_text())['Visualization Manager']['Displays']
    topics = {display['Topic']['Value'] for display in displays if 'Topic' in display}
    assert topics == {'/lidar/points', '/segmentation_node/output/visualization',
                      '/segmentation_node/debug/image_2/overlay'}
