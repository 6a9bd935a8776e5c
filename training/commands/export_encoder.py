"""``sam2amml export-encoder``: the image encoder of a SAM2 for inference engines."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console


def run(path: Path, model: str, checkpoint: Path | None) -> Path:
    """Write the ONNX file and return its path. Raises InputError for a model that cannot be used."""
    from sam2amml_core.masks.sam2_model import load
    from training.masks.encoder_export import export_encoder

    export_encoder(load(model, checkpoint), path)
    Console(stderr=True).print(f'{path}: {path.stat().st_size / 1e6:.1f} MB')
    return path
