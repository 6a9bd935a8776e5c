"""Run fault cases against the node, print a table and write ``out/faults.json``.

``python -m sam2amml_ros.faults``, or ``--only overload`` for cases whose name holds a word; ``--soak 10`` lets the node
run for ten minutes instead and prints its memory and latency minute by minute.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rich.console import Console
from rich.table import Table
from sensor_msgs.msg import PointCloud2

from sam2amml_core.errors import Sam2AmmlError
from sam2amml_ros.faults import messages
from sam2amml_ros.faults.cases import CASES, Case
from sam2amml_ros.faults.rig import NODE, NodeUnderTest, Peer

PERIOD_S = 0.1
ARRIVAL_S = PERIOD_S + 0.02
"""A sweep arrives this long after its stamp, which is that of its start."""

SHUTTER_S = PERIOD_S / 2
"""Images are taken in the middle of a sweep ..."""

DELAY_S = 0.08
"""... and arrive this long after, later than the sweep, so that it has to wait."""

DISCOVERY_S = 0.6
"""From the first word of a restarted node until its peers' Fast DDS has given up the shared memory of the killed one
(250 ms, config/fastdds_profile.xml) and writes to that of the new one; till then nobody reaches it."""

SILENCE_S = 3.0


Watch = Callable[[int, Peer, NodeUnderTest], None]
"""Called with the number of each sweep before it is sent."""


def run_case(case: Case, model: str, domain: int, folder: Path, watch: Watch | None = None) -> dict:
    """One case with a node of its own. Raises Sam2AmmlError when the node does not come up."""
    cameras = ', '.join(f"'{name}'" for name in case.cameras or ('',))
    parameters = {'model': model, 'threads': '1', 'overlay_rate': '5.0', 'camera_names': f'[{cameras}]',
                  **case.parameters}
    with ExitStack() as stack:
        peer = Peer(domain, case.cameras)
        stack.callback(peer.close)
        node = NodeUnderTest(case.module, parameters, domain, folder / f'{case.name.replace(" ", "_")}.log')
        stack.callback(node.stop)
        _warm_up(peer)
        if case.slow_consumer:
            stack.callback(_blocked_consumer(domain))
        memory = node.resident_mb()
        first_drops = peer.counted_drops
        peer.begin()
        killed = _drive(case, peer, node, watch)
        _settle(peer)
        alive = node.alive
        return _result(case, peer, alive, peer.counted_drops - first_drops, killed,
                       node.resident_mb() - memory if alive and case.kill_at is None else None)


def _warm_up(peer: Peer) -> None:
    """Sweeps long before the case, until labels come."""
    peer.wait(lambda: peer.readers_found, 'the start of the node')
    stamp, due = 1_600_000_000_000_000_000, 0.0

    def labelled() -> bool:
        nonlocal stamp, due
        if time.monotonic() >= due:
            stamp, due = stamp + 100_000_000, time.monotonic() + 0.25
            peer.send_cloud(messages.cloud(stamp))
        return len(peer.heard_at) >= 3

    peer.wait(labelled, 'a labelled sweep')
    peer.spin(time.monotonic() + 0.3)


def _drive(case: Case, peer: Peer, node: NodeUnderTest, watch: Watch | None) -> range:
    """Play the case; returns the sweeps that a kill took with it."""
    killed_at, back_at, found_at, found = None, None, None, peer.announced
    start = time.monotonic() + 0.2
    for seconds, source, number in _schedule(case):
        peer.spin(start + seconds)
        if source != 'lidar':
            _send_image(case, peer, source, number)
            continue
        if number == case.extrinsics_at:
            for camera in case.cameras:
                peer.send_extrinsics(camera)
        if number == case.kill_at:
            node.kill()
            killed_at = min((n for n in range(number) if n not in peer.heard_at), default=number)
            node.restart()
        if killed_at is not None and back_at is None and peer.announced > found:
            if found_at is None:
                found_at = seconds
            if seconds >= found_at + DISCOVERY_S:
                back_at = number
        if watch is not None:
            watch(number, peer, node)
        message = case.cloud(number, case.stamp_ns(number * PERIOD_S))
        if message is not None:
            peer.send_cloud(message)
    if killed_at is None:
        return range(0)
    return range(killed_at, case.sweeps if back_at is None else back_at)


def _schedule(case: Case) -> Iterator[tuple[float, str, int]]:
    """(seconds, source, number) in order of time."""
    events = [(number * PERIOD_S + ARRIVAL_S, 'lidar', number) for number in range(case.sweeps)]
    for camera in case.cameras:
        count = round(case.sweeps * PERIOD_S * case.camera_hz)
        events += [(number / case.camera_hz + SHUTTER_S + DELAY_S, camera, number) for number in range(count)]
    return iter(sorted(events))


def _send_image(case: Case, peer: Peer, camera: str, number: int) -> None:
    stamp = case.stamp_ns(number / case.camera_hz + SHUTTER_S)
    peer.send_info(camera, case.info(number, camera, stamp))
    image = case.image(number, camera, stamp)
    if image is not None:
        peer.send_image(camera, image)


def _settle(peer: Peer) -> None:
    """Until nothing more comes."""
    last, since = -1, time.monotonic()
    while time.monotonic() - since < SILENCE_S:
        peer.spin(time.monotonic() + 0.1)
        if len(peer.heard_at) != last:
            last, since = len(peer.heard_at), time.monotonic()
        if last == len(peer.sent_at) and time.monotonic() - since > 0.3:
            return


def _result(case: Case, peer: Peer, alive: bool, drops: int, killed: range, grown_mb: float | None) -> dict:
    sent = len(peer.sent_at)
    destroyed = {n for n in range(sent) if case.destroys(n)} | set(killed)
    labelled = set(peer.heard_at)
    by_case = len(destroyed) + (drops if case.counted_drops else 0)
    lost = sent - by_case - len(labelled - destroyed)
    event = max([case.event_at, *killed]) if killed else case.event_at
    after = next((n for n in range(event, sent) if n in labelled), None)
    times = [1e3 * (peer.heard_at[n] - peer.sent_at[n]) for n in labelled if n >= case.measured_from]
    p50, p99 = (np.percentile(times, [50, 99]).round(1).tolist() if times else (None, None))
    return {
        'case': case.name, 'sweeps_in': sent, 'labelled': len(labelled), 'lost': lost, 'destroyed_by_the_case': by_case,
        'recovered_after_sweeps': None if after is None else after - event, 'node_alive': alive, 'latency_p99_ms': p99,
        'latency_median_ms': p50, 'dropped_by_the_node': drops, 'overlays': peer.overlays,
        'labelled_twice': peer.spurious,
        'memory_grown_mb': None if grown_mb is None else round(grown_mb, 1)}


def _blocked_consumer(domain: int) -> Callable[[], None]:
    """A reliable subscriber that never takes anything; returns what ends it."""
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domain)
    node = rclpy.create_node('blocked', context=context)
    node.create_subscription(PointCloud2, f'{NODE}/output/segmentation', lambda _: None,
                             QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE))

    def close() -> None:
        node.destroy_node()
        rclpy.shutdown(context=context)

    return close


def soak(minutes: float, model: str, folder: Path, console: Console) -> int:
    """The node with two cameras for a long time; 0 when it lost nothing."""
    def report(number: int, peer: Peer, node: NodeUnderTest) -> None:
        if number and number % 600 == 0:
            labelled = [n for n in range(number - 600, number) if n in peer.heard_at]
            times = [1e3 * (peer.heard_at[n] - peer.sent_at[n]) for n in labelled]
            p50, p99 = np.percentile(times, [50, 99]) if times else (np.nan, np.nan)
            console.print(f'minute {number // 600}: {len(times)} of 600 labelled so far, median {p50:.1f} ms, p99 '
                          f'{p99:.1f} ms, {node.resident_mb():.1f} MB resident', highlight=False)

    case = Case('soak', sweeps=round(600 * minutes) + 1)
    result = run_case(case, model, 1 + os.getpid() % 101, folder, report)
    console.print(json.dumps(result), highlight=False)
    return 0 if result['lost'] == 0 and result['node_alive'] else 1


def main() -> int:
    """Parse arguments, run, print; 0 when no case lost a sweep or brought the node down."""
    parser = argparse.ArgumentParser(description='Faults on purpose, against the real node over real DDS.')
    parser.add_argument('--only', default='', help='cases whose name holds this')
    parser.add_argument('--model', default='street32')
    parser.add_argument('--soak', type=float, default=0, help='minutes')
    parser.add_argument('--output', type=Path, default=Path('out/faults.json'))
    options = parser.parse_args()
    console = Console()
    logs = options.output.parent / 'faults_logs'
    logs.mkdir(parents=True, exist_ok=True)
    if options.soak:
        return soak(options.soak, options.model, logs, console)
    table = Table(title='faults')
    columns = ('case', 'sweeps_in', 'labelled', 'lost', 'destroyed_by_the_case', 'recovered_after_sweeps', 'node_alive',
               'latency_median_ms', 'latency_p99_ms')
    for column in columns:
        table.add_column(column.replace('_', ' '), justify='left' if column == 'case' else 'right')
    results = []
    for index, case in enumerate(case for case in CASES if options.only in case.name):
        try:
            results.append(run_case(case, options.model, 1 + (os.getpid() + index) % 101, logs))
        except Sam2AmmlError as error:
            console.print(f'{case.name}: {error}; see {logs}', style='red', markup=False)
            results.append({'case': case.name, 'sweeps_in': 0, 'labelled': 0, 'lost': None, 'node_alive': False})
        table.add_row(*(str(results[-1].get(column, '')) for column in columns))
        console.print(f'{case.name}: {results[-1]["labelled"]} of {results[-1]["sweeps_in"]}', highlight=False)
    options.output.write_text(json.dumps(results, indent=2) + '\n')
    console.print(table)
    failed = [r['case'] for r in results if r['lost'] != 0 or not r['node_alive'] or r['recovered_after_sweeps'] is None
              or r['recovered_after_sweeps'] > 2]
    console.print(f'written to {options.output}; ' + (f'failed: {", ".join(failed)}' if failed else 'all cases passed'))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
