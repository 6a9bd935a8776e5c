"""``sam2amml bag``: any input as a ROS 2 bag: clouds, images, camera infos and fixed extrinsics."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import track

from sam2amml_core.frame import Frame, PointCloud
from sam2amml_core.io.bag_writer import BagWriter
from sam2amml_core.io.inputs import open_input

PERIOD_NS = 100_000_000
START_NS = 1_600_000_000_000_000_000


def run(input_path: Path, output: Path, images: str = 'raw') -> int:
    """Write the bag and return the number of sweeps.

    Sweeps of inputs without stamps (all the same) are stamped 0.1 s apart. Raises InputError for an input that cannot
    be read or an output that cannot be written.
    """
    source = open_input(input_path)
    console = Console(stderr=True)
    previous = -1
    with BagWriter(output, images) as bag:
        for index, (_, frame) in enumerate(track(source, f'{source.kind} to bag', console=console, total=len(source))):
            if frame.cloud.stamp_ns <= previous or frame.cloud.stamp_ns == 0:
                frame = _restamped(frame, START_NS + index * PERIOD_NS)
            previous = frame.cloud.stamp_ns
            bag.write(frame)
    console.print(f'{index + 1} sweeps in {output}')
    return index + 1


def _restamped(frame: Frame, stamp_ns: int) -> Frame:
    from dataclasses import replace

    cloud: PointCloud = replace(frame.cloud, stamp_ns=stamp_ns)
    return Frame(cloud, tuple(replace(view, stamp_ns=stamp_ns) for view in frame.views))
