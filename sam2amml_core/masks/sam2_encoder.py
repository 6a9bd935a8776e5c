"""SAM2's image encoder in an inference engine instead of torch, from an ONNX file made by ``sam2amml export-encoder``.

The file takes ``image`` float32 [1, 3, S, S], normalised, and gives ``fine`` [1, C/8, S/4, S/4], ``medium``
[1, C/4, S/8, S/8] and ``top`` [1, C, S/16, S/16]. Its metadata hold the SHA-256 of the weights it was made from.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import onnxruntime as ort

from sam2amml_core.engines.onnx_runtime import OnnxRuntimeEngine
from sam2amml_core.errors import EngineError, InputError
from sam2amml_core.masks.sam2_model import Sam2

WEIGHTS_KEY = 'sam2_checkpoint'
"""Metadata of the file: SHA-256 of the checkpoint."""


@dataclass(frozen=True)
class EncoderFile:
    """An ONNX file as engines take it."""

    name: str
    onnx_path: Path


def with_encoder(sam: Sam2, path: str | Path, engine: str = 'auto', threads: int = 1) -> Sam2:
    """The same SAM2, whose images are encoded by an ONNX file in ONNX Runtime (auto, cpu, cuda or tensorrt).

    Raises InputError when the file is missing or made from other weights, ``EngineError`` when it cannot be run.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f'encoder {path} does not exist; make it with `sam2amml export-encoder`')
    try:
        metadata = ort.InferenceSession(str(path), providers=['CPUExecutionProvider']).get_modelmeta()
    except Exception as error:  # ONNX Runtime's exceptions share no public base class
        raise EngineError(f'encoder {path} cannot be loaded ({error}); export it again') from error
    found = metadata.custom_metadata_map.get(WEIGHTS_KEY, '')
    if found != sam.checkpoint:
        raise InputError(f'encoder {path} was made from weights {found[:12] or "unknown"}..., the decoder has '
                         f'{sam.checkpoint[:12]}...; export it from this checkpoint')
    return replace(sam, encoder=OnnxRuntimeEngine(EncoderFile(path.stem, path), engine, threads))
