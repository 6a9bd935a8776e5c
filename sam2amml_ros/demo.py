"""``make demo``: a held-out street, played, labelled and recorded by separate processes over real DDS.

1. ``sam2amml world-bag`` drives through the street (kept for the next time).
2. segmentation_node, recorder_node and playback_node run as processes of their own, at the recorded 10 Hz.
3. The labels that arrived are compared with the truth, and pictures are drawn.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from sam2amml_core.engines.openvino import has_openvino
from sam2amml_core.errors import InputError, Sam2AmmlError
from sam2amml_core.io.bag_messages import (
    CLOUD_TOPIC,
    ODOMETRY_TOPIC,
    camera_info_topic,
    extrinsics_topic,
    image_topic,
)
from sam2amml_ros.demo_report import Recording, read_sequence, write_report
from sam2amml_ros.stages import DROPPED_TOPIC, STAGES, stage_topic
from sam2amml_ros.transport import environment

NODE = '/segmentation_node'
OUTPUT_TOPIC = f'{NODE}/output/segmentation'
READY_S = 90.0
SILENCE_S = 5.0
"""After the last sweep was played: how long without a new result until the rest counts as lost."""


@dataclass(frozen=True)
class DemoOptions:
    """What ``make demo`` may be told."""

    output: Path
    model: str
    sweeps: int
    cameras: int
    number: int
    threads: int
    engine: str
    media: bool


def run(options: DemoOptions, console: Console) -> dict:
    """The whole demo; returns the content of ``summary.json``. Raises Sam2AmmlError naming the log that tells more."""
    folder = options.output
    logs = folder / 'logs'
    logs.mkdir(parents=True, exist_ok=True)
    sequence_folder = folder / 'sequence'
    make_sequence(sequence_folder, options)
    sequence = read_sequence(sequence_folder)
    recording = Recording(folder / 'labelled_bag', logs / 'published.jsonl', logs / 'received.jsonl')
    play(sequence_folder / 'bag', sequence.cameras, sequence.sweeps, recording, logs, options, console)
    return write_report(folder, sequence, recording, options.media, console)


def make_sequence(folder: Path, options: DemoOptions) -> None:
    """The street with its truth, by the command line in a process of its own (the training package)."""
    command = [sys.executable, '-m', 'training.cli', 'world-bag', str(folder), '--split', 'test',
               '--number', str(options.number), '--sweeps', str(options.sweeps), '--cameras', str(options.cameras)]
    if subprocess.run(command, check=False).returncode:
        raise InputError(f'the street could not be recorded ({" ".join(command[2:])} failed); '
                         'the message above says why')


def play(bag: Path, cameras: tuple[str, ...], sweeps: int, recording: Recording, logs: Path, options: DemoOptions,
         console: Console) -> None:
    """Play the bag through the node and record what comes out."""
    recording.received.unlink(missing_ok=True)
    env = environment(domain_id=free_domain())
    inputs = {'~/input/pointcloud': CLOUD_TOPIC, '~/input/odometry': ODOMETRY_TOPIC}
    for name in cameras:
        inputs |= {f'~/input/{name}/image': image_topic(name), f'~/input/{name}/camera_info': camera_info_topic(name),
                   f'~/input/{name}/extrinsics': extrinsics_topic(name)}
    remaps = [text for private, topic in inputs.items() for text in ('-r', f'{private}:={topic}')]
    topics = [f'{OUTPUT_TOPIC} sensor_msgs/msg/PointCloud2',
              f'{NODE}{DROPPED_TOPIC[1:]} std_msgs/msg/UInt64 latched',
              *(f'{NODE}{stage_topic(stage)[1:]} std_msgs/msg/Float64' for stage in STAGES)]
    node = ['segmentation_node', '-p', f'model:={options.model}', '-p', f'threads:={options.threads}',
            '-p', f'engine:={options.engine}',
            '-p', f'camera_names:={_strings(cameras or ("",))}', *remaps]
    recorder = ['recorder_node', '-p', f'bag:={recording.bag}', '-p', f'log:={recording.received}',
                '-p', f'topics:={_strings(topics)}']
    wait_for = [CLOUD_TOPIC, *(image_topic(name) for name in cameras)]
    player = ['playback_node', '-p', f'bag:={bag}', '-p', 'stamp:=shifted', '-p', f'log:={recording.published}',
              '-p', f'wait_for:={_strings(wait_for)}', '-p', f'wait_s:={READY_S}', '-p', 'settle_s:=1.0']
    columns = (TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with (process(recorder, env, logs) as writer, process(node, env, logs) as labeller,
          Progress(*columns, console=console) as progress):
        task = progress.add_task('starting nodes', total=sweeps)
        _await_node(recording.received, writer, labeller, logs)
        with process(player, env, logs) as playing:
            for done in _results(recording.received, sweeps, playing, labeller, logs):
                progress.update(task, completed=done, description='labelling')


def _await_node(log: Path, recorder: subprocess.Popen, node: subprocess.Popen, logs: Path) -> None:
    """Until the recorder has got the node's latched count of dropped sweeps: both are ready and have found each other.

    Raises InputError when one ends or ``READY_S`` pass before that.
    """
    deadline = time.monotonic() + READY_S
    while not (log.is_file() and DROPPED_TOPIC[1:] in log.read_text()):
        for child, name in ((node, 'segmentation_node'), (recorder, 'recorder_node')):
            if child.poll() is not None:
                raise InputError(f'{name} ended early; see {logs / name}.log: {_last_line(logs, name)}')
        if time.monotonic() > deadline:
            raise InputError(f'the nodes did not find each other within {READY_S:g} s; see {logs}, and allow UDP '
                             'multicast on the loopback interface')
        time.sleep(0.05)


def _results(log: Path, sweeps: int, player: subprocess.Popen, node: subprocess.Popen, logs: Path) -> Iterator[int]:
    """Yield the number of labelled sweeps received so far, until all are there or none have come for a while."""
    done, last_change = 0, time.monotonic()
    while done < sweeps:
        time.sleep(0.1)
        count = log.read_text().count(f'"{OUTPUT_TOPIC}"') if log.is_file() else 0
        if count != done:
            done, last_change = count, time.monotonic()
            yield done
        if node.poll() is not None:
            raise InputError(f'segmentation_node ended early; see {logs / "segmentation_node.log"}: '
                             f'{_last_line(logs, "segmentation_node")}')
        if player.poll():
            raise InputError(f'playback failed; see {logs / "playback_node.log"}')
        if player.poll() is not None and time.monotonic() - last_change > SILENCE_S:
            return


@contextmanager
def process(command: list[str], env: dict[str, str], logs: Path) -> Iterator[subprocess.Popen]:
    """A node (module name, then ROS arguments) as a process; its log in a file; ended by SIGINT, then harder."""
    name, *arguments = command
    with (logs / f'{name}.log').open('w') as log:
        child = subprocess.Popen([sys.executable, '-m', f'sam2amml_ros.{name}', '--ros-args', *arguments], env=env,
                                 stdout=log, stderr=subprocess.STDOUT)
        try:
            yield child
        finally:
            for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
                if child.poll() is not None:
                    break
                child.send_signal(ending)
                try:
                    child.wait(10)
                except subprocess.TimeoutExpired:
                    continue


def free_domain() -> int:
    """A ROS domain that others on this machine are unlikely to use at the same time: 1 .. 101."""
    return int(os.environ.get('SAM2AMML_DOMAIN_ID', '0')) or 1 + os.getpid() % 101


def _strings(values: tuple[str, ...] | list[str]) -> str:
    return '[' + ', '.join(f"'{value}'" for value in values) + ']'


def _last_line(logs: Path, name: str) -> str:
    lines = (logs / f'{name}.log').read_text().strip().splitlines()
    return lines[-1] if lines else 'no message'


def main() -> int:
    """Parse arguments, run, print; returns the exit status."""
    parser = argparse.ArgumentParser(description='Label a synthetic street in real time over ROS 2.')
    parser.add_argument('--output', type=Path, default=Path('out/demo'))
    parser.add_argument('--model', default='street64')
    parser.add_argument('--sweeps', type=int, default=100)
    parser.add_argument('--cameras', type=int, default=2)
    parser.add_argument('--number', type=int, default=100, help='which street of the test worlds')
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--engine', default='openvino' if has_openvino() else 'auto', help='of the node')
    parser.add_argument('--no-media', dest='media', action='store_false', help='no video and picture')
    console = Console()
    try:
        run(DemoOptions(**vars(parser.parse_args())), console)
    except Sam2AmmlError as error:
        console.print(f'error: {error}', style='bold red', markup=False, highlight=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
