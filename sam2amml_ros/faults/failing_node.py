"""The segmentation node with an inference engine that fails or is slow on purpose."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

import numpy as np
from rclpy.node import Node

from sam2amml_core.engines import Engine
from sam2amml_ros.process import run_node
from sam2amml_ros.segmentation_node import SegmentationNode


class FailingEngine:
    """Another engine, which raises on every ``fail_every``-th sweep and takes ``slow_s`` longer on each."""

    def __init__(self, engine: Engine, fail_every: int, slow_s: float) -> None:
        self._engine = engine
        self._fail_every = fail_every
        self._slow_s = slow_s
        self._count = 0
        self.name, self.reason = engine.name, engine.reason

    def run(self, inputs: Mapping[str, np.ndarray], outputs: tuple[str, ...]) -> list[np.ndarray]:
        self._count += 1
        time.sleep(self._slow_s)
        if self._fail_every and self._count % self._fail_every == 0:
            raise MemoryError('failed on purpose')
        return self._engine.run(inputs, outputs)


class FailingNode(SegmentationNode):
    """Parameters ``fail_every`` (0 = never) and ``slow_ms``."""

    def configure(self) -> None:
        super().configure()
        fail_every = int(self.declare_parameter('fail_every', 0).value)
        slow_s = 1e-3 * float(self.declare_parameter('slow_ms', 0.0).value)
        if self._segmenter is not None:
            self._segmenter.engine = FailingEngine(self._segmenter.engine, fail_every, slow_s)


def make_node() -> Node:
    node = FailingNode()
    node.start()
    return node


def main(args: list[str] | None = None) -> int:
    return run_node(make_node, args)


if __name__ == '__main__':
    sys.exit(main())
