"""The real ``sam2`` classes, built from a configuration file without Hydra's global state, and their weights.

``sam2`` is imported here when it is needed only: ``import sam2`` sets up Hydra for the whole process. Configurations
are those of the package (2.0 and 2.1) or your own, by path.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from sam2amml_core.bundle import MODELS_FOLDER, sha256_of
from sam2amml_core.errors import EngineError, InputError

if TYPE_CHECKING:
    import torch

    from sam2amml_core.engines.engine import Engine

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
CONFIG_FILE, WEIGHTS_FILE, ABOUT_FILE = 'config.yaml', 'model.pt', 'about.yaml'
"""In the folder of a shipped SAM2: what ``build`` takes, the weights, and their SHA-256 and provenance."""

_GET = ("get checkpoints as the README of github.com/facebookresearch/sam2 says (SAM 2.0 with configs/sam2/*.yaml, 2.1 "
        "with configs/sam2.1/*.yaml) and compare their SHA-256, or use the shipped 'sam2_nano'")
_NEW_IN_2_1 = 'no_obj_embed_spatial'


@dataclass(frozen=True, eq=False)
class Sam2:
    """A network with weights, ready to cut masks.

    network     of the package ``sam2``, in evaluation mode, on ``device``
    image_size  side of its square input, pixels
    checkpoint  SHA-256 of the file of weights
    encoder     runs the image encoder instead of ``network`` (``sam2_encoder.with_encoder``)
    """

    name: str
    network: Any
    image_size: int
    checkpoint: str
    device: str
    encoder: Engine | None = None

    @contextmanager
    def inference(self) -> Iterator[None]:
        """No gradients, and half precision on a GPU. Never yield inside it: the caller would compute like this, too."""
        import torch

        device = self.device.split(':')[0]
        with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=device == 'cuda'):
            yield


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


def load(model: str = 'sam2_nano', checkpoint: str | Path | None = None, device: str = 'cpu',
         sha256: str | None = None, video: bool = False) -> Sam2:
    """A SAM2 with weights.

    model       a shipped one (``sam2_nano``), or a configuration: a YAML file, or one inside the package ``sam2`` such
                as ``configs/sam2.1/sam2.1_hiera_t.yaml``
    checkpoint  file of weights (a dictionary with the key ``model``); not for a shipped model
    sha256      of the file, to be sure that it is the one meant
    Raises ``EngineError`` where ``sam2`` is missing, InputError when a file is missing, truncated, another one, or of
    another configuration.
    """
    folder = MODELS_FOLDER / model
    if checkpoint is None:
        if not (folder / ABOUT_FILE).is_file():
            raise InputError(f'{model!r} is no shipped SAM2 and no checkpoint is given; {_GET}')
        about = yaml.safe_load((folder / ABOUT_FILE).read_text())
        return _load(model, folder / CONFIG_FILE, folder / WEIGHTS_FILE, device, about['sha256'], video)
    return _load(Path(model).stem, find_config(model), Path(checkpoint), device, sha256, video)


def find_config(name: str | Path) -> Path:
    """The file of a configuration by its path, or by its path inside the package ``sam2``. Raises InputError."""
    if Path(name).is_file():
        return Path(name)
    from importlib.util import find_spec

    spec = find_spec('sam2')
    if spec is None or not spec.submodule_search_locations:
        raise EngineError('SAM2 is not installed; install the extra [sam2] (make venv-dev does)')
    root = Path(next(iter(spec.submodule_search_locations)))
    if (root / name).is_file():
        return root / name
    known = sorted(path.relative_to(root).as_posix() for path in root.glob('configs/sam2*/*.yaml'))
    raise InputError(f'no SAM2 configuration {str(name)!r}; give a file or one of {", ".join(known)}')


def read_config(path: Path) -> dict[str, Any]:
    """A configuration as ``build`` takes it; by OmegaConf, which reads 1e-6 as a number where plain YAML does not.

    Raises InputError when it cannot be read.
    """
    try:
        from omegaconf import OmegaConf
    except ImportError as error:
        raise EngineError(f'SAM2 is not installed ({error}); install the extra [sam2]') from error
    try:
        content = OmegaConf.to_container(OmegaConf.load(path))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f'SAM2 configuration {path} cannot be read ({error}); {_GET}') from error
    if not isinstance(content, dict):
        raise InputError(f'SAM2 configuration {path} holds no settings; {_GET}')
    return {str(key): value for key, value in content.items()}


def _load(name: str, config: Path, weights: Path, device: str, sha256: str | None, video: bool) -> Sam2:
    content = read_config(config)
    if not weights.is_file():
        raise InputError(f'SAM2 checkpoint {weights} does not exist; {_GET}')
    found = sha256_of(weights)
    if sha256 is not None and sha256.lower() != found:
        raise InputError(f'SAM2 checkpoint {weights} has SHA-256 {found[:12]}..., expected {sha256[:12]}...: truncated '
                         'or another file; copy it again')
    network = build(content, video)
    _fill(network, _read(weights), config, weights)
    network.to(device).eval()
    return Sam2(name, network, int(content['model'].get('image_size', 1024)), found, device)


def _read(weights: Path) -> Mapping[str, torch.Tensor]:
    import torch

    try:
        content = torch.load(weights, map_location='cpu', weights_only=True)
    except Exception as error:  # torch raises many kinds for damaged files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f'SAM2 checkpoint {weights} is truncated or no checkpoint ({reason}); {_GET}') from error
    if not isinstance(content, Mapping) or not isinstance(content.get('model'), Mapping):
        raise InputError(f'SAM2 checkpoint {weights} has no key `model`; {_GET}')
    return content['model']


def _fill(network: torch.nn.Module, state: Mapping[str, torch.Tensor], config: Path, weights: Path) -> None:
    """Load weights, of any float type; name what does not fit."""
    own = network.state_dict()
    missing, unknown = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    shapes = [key for key in own.keys() & state.keys() if own[key].shape != state[key].shape]
    if not (missing or unknown or shapes):
        network.load_state_dict({key: value.to(own[key].dtype) for key, value in state.items()})
        return
    layouts = {True: '2.1', False: '2.0'}
    wanted, given = layouts[_NEW_IN_2_1 in own], layouts[_NEW_IN_2_1 in state]
    hint = (f'the checkpoint is of SAM {given}, the configuration of SAM {wanted}' if wanted != given
            else 'they are of different sizes' if shapes else 'they are of different networks')
    found = (('missing', missing), ('unknown', unknown), ('of another shape', sorted(shapes)))
    parts = [f'{len(keys)} {what} (such as {keys[0]})' for what, keys in found if keys]
    raise InputError(f'checkpoint {weights} does not fit configuration {config}: {hint}; weights {", ".join(parts)}; '
                     'give the configuration that belongs to the checkpoint')
