"""The real ``sam2`` classes, built from a configuration file without Hydra's global state, and their weights.

``sam2`` is imported here when it is needed only: ``import sam2`` sets up Hydra for the whole process. Configurations
are those of the package (2.0 and 2.1) or your own, by path.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from sam2amml_core.errors import EngineError, InputError

if TYPE_CHECKING:
    import torch

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)


def build(config: Mapping[str, Any], video: bool = False) -> torch.nn.Module:
    """The network that a configuration with the key ``model`` describes, with random weights, ready to train.

    video  as ``SAM2VideoPredictor``, whose memory follows masks through a sequence
    Raises ``EngineError`` where ``sam2`` is not installed and InputError when the configuration is none of SAM2.
    """
    try:
        from hydra.utils import instantiate
        from omegaconf import OmegaConf
    except ImportError as error:
        raise EngineError(f'SAM2 is not installed ({error}); install the extra [sam2] (make venv-dev does), '
                          'or use the superpixel masks, which need no weights') from error
    if not isinstance(config, Mapping) or not isinstance(config.get('model'), Mapping):
        raise InputError('the SAM2 configuration has no key `model`; give one of sam2/configs, or a copy of it')
    tree = OmegaConf.create(dict(config))
    OmegaConf.resolve(tree)
    if video:
        tree.model['_target_'] = 'sam2.sam2_video_predictor.SAM2VideoPredictor'
    try:
        return instantiate(tree.model, _recursive_=True)
    except Exception as error:  # Hydra wraps whatever a constructor raises
        raise InputError(f'the SAM2 configuration cannot be built: {error}') from error


def normalise(images: torch.Tensor) -> torch.Tensor:
    """float32 [B, 3, S, S] as the encoder wants it, of images uint8 [B, S, S, 3] RGB."""
    import torch

    mean, std = torch.from_numpy(255 * MEAN), torch.from_numpy(255 * STD)
    return ((images.float() - mean.to(images.device)) / std.to(images.device)).permute(0, 3, 1, 2)
