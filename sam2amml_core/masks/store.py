"""Mask sets on disk: one small file per image, written whole or not at all, the same masks giving the same bytes.

A file is one line of JSON (format, shape, scores, provenance, SHA-256 of the rest) and the id map, zlib-compressed.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from dataclasses import asdict
from pathlib import Path

import numpy as np

from sam2amml_core.errors import InputError
from sam2amml_core.masks.mask_set import MaskSet, Provenance, make_mask_set

FORMAT = 'sam2amml-masks-1'
SUFFIX = '.masks'


def write_masks(path: Path, masks: MaskSet) -> None:
    """Write a mask set; its folder must be there. Raises InputError when it cannot be written."""
    payload = zlib.compress(np.ascontiguousarray(masks.id_map, '<u2').tobytes(), 6)
    header = {'format': FORMAT, 'height': masks.id_map.shape[0], 'width': masks.id_map.shape[1],
              'score': [round(float(value), 4) for value in masks.score], 'provenance': asdict(masks.provenance),
              'sha256': hashlib.sha256(payload).hexdigest()}
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.part')
    try:
        temporary.write_bytes(json.dumps(header, sort_keys=True).encode() + b'\n' + payload)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(f'cannot write {path}: {error.strerror}; choose another output folder') from error


def read_masks(path: Path, image: np.ndarray | None = None) -> MaskSet:
    """Read a mask set, checked against its own hash and, if given, against the image uint8 [H, W, 3] it is for.

    Raises InputError when the file is missing, damaged, or made from another image.
    """
    path = Path(path)
    try:
        head, _, payload = path.read_bytes().partition(b'\n')
    except OSError as error:
        raise InputError(f'mask file {path} cannot be read: {error.strerror}; run `sam2amml masks`') from error
    header = _header(head, path)
    if hashlib.sha256(payload).hexdigest() != header['sha256']:
        raise InputError(f'mask file {path} is damaged or truncated; delete it and run `sam2amml masks` again')
    shape = (int(header['height']), int(header['width']))
    id_map = np.frombuffer(zlib.decompress(payload), '<u2').reshape(shape).astype(np.uint16)
    masks = make_mask_set(id_map, Provenance(**header['provenance']), np.array([0.0, *header['score']], np.float32))
    if len(masks) != len(header['score']):
        raise InputError(f'mask file {path} holds {len(masks)} masks and {len(header["score"])} scores; '
                         'delete it and run `sam2amml masks` again')
    if image is not None:
        try:
            masks.check_image(image)
        except InputError as error:
            raise InputError(f'mask file {path}: {error}') from error
    return masks


def holds(path: Path, provenance: Provenance) -> bool:
    """Whether ``path`` is an undamaged mask file of exactly this provenance; never raises."""
    try:
        head, _, payload = Path(path).read_bytes().partition(b'\n')
        header = _header(head, path)
    except (OSError, InputError):
        return False
    wanted = json.loads(json.dumps(asdict(provenance)))
    return header['provenance'] == wanted and hashlib.sha256(payload).hexdigest() == header['sha256']


def _header(head: bytes, path: Path) -> dict:
    try:
        header = json.loads(head)
    except ValueError as error:
        raise InputError(f'{path} is no mask file, or damaged; delete it and run `sam2amml masks` again') from error
    needed = {'format', 'height', 'width', 'score', 'provenance', 'sha256'}
    if not isinstance(header, dict) or not needed <= header.keys() or header['format'] != FORMAT:
        raise InputError(f'{path} is no mask file of format {FORMAT}; delete it and run `sam2amml masks` again')
    return header
