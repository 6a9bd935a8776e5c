from __future__ import annotations

import threading

import pytest

pytest.importorskip('rclpy', reason='the ROS package needs rclpy (extra [ros], or a ROS 2 installation)')

from sam2amml_ros.drop_log import DropLog
from sam2amml_ros.worker import LatestWorker


def test_the_latest_item_wins_and_the_replaced_ones_are_counted() -> None:
    done: list[int] = []
    begun, release, finished = threading.Event(), threading.Event(), threading.Event()

    def work(item: int) -> None:
        begun.set()
        assert release.wait(10)
        done.append(item)
        if item == 5:
            finished.set()

    worker = LatestWorker(work, lambda error: None)
    worker.start()
    worker.put(1)
    assert begun.wait(10)
    for item in (2, 3, 4, 5):
        worker.put(item)
    release.set()
    assert finished.wait(10)
    assert worker.stop()
    assert done == [1, 5]
    assert worker.dropped == 3


def test_an_item_that_fails_is_reported_and_the_next_one_is_worked_on() -> None:
    errors: list[Exception] = []
    failed, finished = threading.Event(), threading.Event()

    def work(item: str) -> None:
        if item == 'bad':
            raise ValueError(item)
        finished.set()

    def report(error: Exception) -> None:
        errors.append(error)
        failed.set()

    worker = LatestWorker(work, report)
    worker.start()
    worker.put('bad')
    assert failed.wait(10)
    worker.put('good')
    assert finished.wait(10)
    assert worker.stop()
    assert [str(error) for error in errors] == ['bad']


def test_stopping_lets_the_item_at_work_end_and_drops_the_one_that_waits() -> None:
    done: list[int] = []
    begun, release = threading.Event(), threading.Event()

    def work(item: int) -> None:
        begun.set()
        release.wait(10)
        done.append(item)

    worker = LatestWorker(work, lambda error: None)
    worker.start()
    worker.put(1)
    assert begun.wait(10)
    worker.put(2)
    threading.Timer(0.05, release.set).start()
    assert worker.stop(10)
    assert done == [1]


def test_the_rehearsal_runs_in_the_thread_that_works_and_ends_before_start_returns() -> None:
    threads: list[threading.Thread] = []
    finished = threading.Event()

    def work(item: int) -> None:
        threads.append(threading.current_thread())
        finished.set()

    worker = LatestWorker(work, lambda error: None)
    worker.start(lambda: threads.append(threading.current_thread()))
    assert len(threads) == 1
    worker.put(1)
    assert finished.wait(10)
    assert worker.stop()
    assert threads[0] is threads[1] is not threading.current_thread()


def test_a_rehearsal_that_fails_is_reported_and_work_goes_on() -> None:
    errors: list[Exception] = []
    finished = threading.Event()

    def fail() -> None:
        raise ValueError('no memory')

    worker: LatestWorker[int] = LatestWorker(lambda item: finished.set(), errors.append)
    worker.start(fail)
    assert [str(error) for error in errors] == ['no memory']
    worker.put(1)
    assert finished.wait(10)
    assert worker.stop()


def test_drops_are_all_counted_but_said_once_in_a_while() -> None:
    said: list[str] = []
    log = DropLog(said.append, period_s=1000)
    for _ in range(5):
        log.add('sweep', 'it is empty; check the driver')
    log.add('overlay', 'no image')
    assert log.counts == {'sweep': 5, 'overlay': 1}
    assert said == ['sweep dropped: it is empty; check the driver', 'overlay dropped: no image']
