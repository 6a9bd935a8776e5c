"""SemanticKITTI's submission: a zip of ``sequences/NN/predictions/NNNNNN.label`` with raw ids, and its check."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.io.labels import make_folder
from sam2amml_core.labels import ClassSchema
from training.datasets.scans import ScanSet


def write_submission(path: Path, predictions: Iterable[tuple[str, np.ndarray]], schema: ClassSchema) -> Path:
    """Write the zip at ``path`` from (scan name ``NN/NNNNNN``, train ids [N]), whole or not at all; return it.

    Folders get entries of their own, which the benchmark's check asks for; labels are uint32 raw ids. Raises InputError
    when the name does not end in .zip, a train id is out of range, or the file cannot be written.
    """
    if path.suffix != '.zip':
        raise InputError(f'{path} must end in .zip')
    make_folder(path.parent)
    scratch = path.with_name(f'.{path.name}.{os.getpid()}.part')
    folders: set[str] = set()
    try:
        with zipfile.ZipFile(scratch, 'w', zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name, train in predictions:
                sequence, _, scan = name.partition('/')
                for folder in ('sequences/', f'sequences/{sequence}/', f'sequences/{sequence}/predictions/'):
                    if folder not in folders:
                        archive.writestr(zipfile.ZipInfo(folder), b'')
                        folders.add(folder)
                if len(train) and int(train.max()) >= len(schema):
                    raise InputError(f'prediction of scan {name} has train id {train.max()}; the schema ends at '
                                     f'{len(schema) - 1}')
                raw = schema.train_to_raw[train].astype('<u4')
                archive.writestr(f'sequences/{sequence}/predictions/{scan}.label', raw.tobytes())
        os.replace(scratch, path)
    except OSError as error:
        raise InputError(f'cannot write {path}: {error.strerror}; choose another output') from error
    finally:
        scratch.unlink(missing_ok=True)
    return path


def check_submission(path: Path, data: ScanSet) -> int:
    """Number of scans of a zip that the benchmark would take; ``data`` is the split it is for.

    Checked as the benchmark does: the name, entries for the folders, a file for every scan, its size; beyond it: only
    raw ids that the benchmark counts (writing train ids is the commonest mistake), no file that is none of a scan's.
    Raises InputError naming the first fault.
    """
    if path.suffix != '.zip' or not zipfile.is_zipfile(path):
        raise InputError(f'{path} is not a zip file whose name ends in .zip')
    allowed = np.zeros(65536, bool)
    allowed[data.schema.train_to_raw] = True
    scenes = dict.fromkeys(scan.scene for scan in data.scans)
    with zipfile.ZipFile(path) as archive:
        entries = {info.filename: info for info in archive.infolist()}
        for folder in ('sequences/', *(f'sequences/{s}/{sub}' for s in scenes for sub in ('', 'predictions/'))):
            if folder not in entries:
                raise InputError(f'{path} has no entry for the folder {folder}; zip with directory entries')
        wanted = {f'sequences/{scan.name.replace("/", "/predictions/")}.label': i for i, scan in enumerate(data.scans)}
        for name, index in wanted.items():
            if name not in entries:
                raise InputError(f'{path} lacks {name}')
            points, labels = data.points(index), entries[name].file_size / 4
            if labels != points:
                raise InputError(f'{name} in {path} has {labels:g} labels for {points} points')
            raw = np.minimum(np.frombuffer(archive.read(name), '<u4'), 65535)
            if not allowed[raw].all():
                raise InputError(f'{name} in {path} holds {raw[~allowed[raw]][0]}, which is no raw id the benchmark '
                                 'counts; write raw ids, not train ids')
        extra = sorted(name for name in entries if not name.endswith('/') and name not in wanted)
        if extra:
            raise InputError(f'{path} holds {len(extra)} files that belong to no scan, such as {extra[0]}')
    return len(wanted)
