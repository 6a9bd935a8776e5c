"""One drive recorded by several processes, each taking every n-th sweep; the result is that of one process."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.connection import Connection

from training.world.record import record
from training.world.sensors import SensorRig
from training.world.settings import StreetSettings
from training.world.sweep import SyntheticSweep


def record_parallel(seed: int, settings: StreetSettings, rig: SensorRig, sweeps: int, processes: int = 2,
                    images_every: int = 1) -> Iterator[SyntheticSweep]:
    """As ``record``, in order, but without the truth of pixels and visibility, which is large to hand over."""
    if processes <= 1 or sweeps < 4:
        yield from (_slim(sweep) for sweep in record(seed, settings, rig, sweeps, images_every=images_every))
        return
    context = multiprocessing.get_context('spawn')
    readers, workers = [], []
    for first in range(processes):
        reader, writer = context.Pipe(duplex=False)
        indices = range(first, sweeps, processes)
        worker = context.Process(target=_work, args=(writer, seed, settings, rig, sweeps, indices, images_every),
                                 daemon=True)
        worker.start()
        writer.close()
        readers.append(reader)
        workers.append(worker)
    try:
        for index in range(sweeps):
            result = _receive(readers[index % processes])
            if isinstance(result, BaseException):
                raise result
            yield result
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()


def _receive(reader: Connection) -> SyntheticSweep | BaseException:
    try:
        return reader.recv()
    except EOFError:
        return RuntimeError('a recording process ended unexpectedly; is there enough memory?')


def _work(writer: Connection, seed: int, settings: StreetSettings, rig: SensorRig, sweeps: int, indices: range,
          images_every: int) -> None:
    import cv2

    cv2.setNumThreads(1)
    try:
        for sweep in record(seed, settings, rig, sweeps, indices=indices, images_every=images_every):
            writer.send(_slim(sweep))
    except (BrokenPipeError, KeyboardInterrupt):
        return
    except Exception as error:
        writer.send(error)


def _slim(sweep: SyntheticSweep) -> SyntheticSweep:
    return replace(sweep, pixels=(), point_visible=())
