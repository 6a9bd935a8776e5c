"""The image encoder of a SAM2 as an ONNX file."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import nn

from sam2amml_core.errors import InputError
from sam2amml_core.io.labels import make_folder
from sam2amml_core.masks.sam2_encoder import WEIGHTS_KEY
from sam2amml_core.masks.sam2_images import OUTPUTS
from sam2amml_core.masks.sam2_model import Sam2


class _Encoder(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(self.network.forward_image(image)['backbone_fpn'])  # type: ignore[operator]


def export_encoder(sam: Sam2, path: Path) -> Path:
    """Write the file, whole or not at all. Raises InputError for a SAM2 without fine features, or a bad folder."""
    import onnx

    if not sam.network.use_high_res_features_in_sam:
        raise InputError(f'{sam.name} has no fine features (use_high_res_features_in_sam); only such can be exported')
    make_folder(path.parent)
    temporary = path.with_name(f'.{path.name}.{os.getpid()}')
    image = torch.zeros(1, 3, sam.image_size, sam.image_size)
    with torch.inference_mode():
        torch.onnx.export(_Encoder(sam.network).eval(), (image,), str(temporary), input_names=['image'],
                          output_names=list(OUTPUTS), opset_version=18, dynamo=True, external_data=False, verbose=False)
    model = onnx.load(temporary)
    model.metadata_props.add(key=WEIGHTS_KEY, value=sam.checkpoint)
    onnx.save(model, temporary)
    os.replace(temporary, path)
    return path
