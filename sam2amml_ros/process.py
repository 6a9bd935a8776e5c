"""A node as a process: start, spin, and a clean end on SIGINT, SIGTERM or a shutdown of the ROS context."""

from __future__ import annotations

import ctypes
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rclpy
from rclpy._rclpy_pybind11 import RCLError
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.logging import get_logger
from rclpy.node import Node

from sam2amml_core.errors import Sam2AmmlError

MALLOC_OPTIONS = ((-3, 32 << 20), (-1, 256 << 20), (-2, 64 << 20), (-8, 1))
"""Of glibc's mallopt: M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD in bytes; M_ARENA_MAX, one heap for all threads."""

WAKE_UP_S = 1.0


def run_node(make: Callable[[], Node], args: list[str] | None = None, work: Callable[[Any], int] | None = None) -> int:
    """Make a node and spin it, or run ``work(node)``, until shutdown; returns the exit status.

    A node that cannot start (Sam2AmmlError) ends with its message in the log and status 1. ``node.close()`` is called
    before the end if the node has one.
    """
    keep_freed_memory()
    rclpy.init(args=args)
    node: Node | None = None
    status = 0
    try:
        _forward_log()
        node = make()
        status = work(node) if work is not None else _spin(node)
    except Sam2AmmlError as error:
        get_logger(node.get_name() if node else 'sam2amml').fatal(str(error))
        status = 1
    except (KeyboardInterrupt, ExternalShutdownException):
        status = 0
    except RCLError:
        if rclpy.ok():  # else a signal came while something was being made: an end like any other
            raise
    finally:
        if node is not None:
            close = getattr(node, 'close', None)
            if close is not None:
                close()
            node.destroy_node()
        rclpy.try_shutdown()
    return status


def keep_freed_memory() -> bool:
    """Let the C library keep what is freed for the next sweep; False where it is not glibc.

    It would hand blocks of megabytes back to the kernel and fetch them again, page by page, for every sweep: a third of
    what the node adds to the network for a cloud of 120,000 points. The process keeps the memory of its largest sweep.
    """
    try:
        library = ctypes.CDLL(None)
        return all(library.mallopt(option, value) for option, value in MALLOC_OPTIONS)
    except (OSError, AttributeError):
        return False


def resident_mb() -> float | None:
    """Memory of this process that is in RAM, MB; None where /proc does not say."""
    try:
        pages = int(Path('/proc/self/statm').read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf('SC_PAGE_SIZE') * 1e-6


def _spin(node: Node) -> int:
    """Until shutdown. Looks up once a second: a signal that comes just before the executor waits does not wake it."""
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        while rclpy.ok():
            executor.spin_once(timeout_sec=WAKE_UP_S)
    finally:
        executor.shutdown()
    return 0


class _RosHandler(logging.Handler):
    """Python's log records of the core into the ROS log."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._logger = get_logger('sam2amml')

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if record.levelno >= logging.ERROR:
            self._logger.error(text)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(text)
        else:
            self._logger.info(text)


def _forward_log() -> None:
    core = logging.getLogger('sam2amml_core')
    core.setLevel(logging.INFO)
    core.addHandler(_RosHandler())
    core.propagate = False
