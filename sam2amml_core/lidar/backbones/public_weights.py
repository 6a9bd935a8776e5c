"""Public checkpoints for our networks: their names and layouts, mapped to ours.

    network = MinkUNet(MinkUNetConfig(blocks=(2, 3, 4, 6)))
    report = load_public(network, torch.load('minkunet34.pth', weights_only=True)['state_dict'], 'mmdet3d')

Layouts: ``mmdet3d`` (MinkUNet on TorchSparse or on spconv), ``openpcseg`` (also SPVNAS), ``slidr`` (Minkowski's
Res16UNet, also Seal's), ``frnet``, ``waffleiron``. Class scores rarely mean the same classes in the same order; the
classifier is taken over only if ``classes`` says which of its rows are train ids 1 .. C.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sam2amml_core.errors import InputError
from sam2amml_core.lidar.backbones.backbone import Backbone
from sam2amml_core.lidar.backbones.frnet import FRNet
from sam2amml_core.lidar.backbones.minkunet import MinkUNet, SparseResidual
from sam2amml_core.lidar.backbones.waffle_iron import WaffleIron

LAYOUTS = ('mmdet3d', 'openpcseg', 'slidr', 'frnet', 'waffleiron')

Pair = tuple[str, str]
"""(our name, theirs) of a layer: a convolution, a linear layer or a norm."""


@dataclass(frozen=True)
class LoadReport:
    """What was taken over, what of ours stayed as it was, and what of theirs was not used."""

    loaded: tuple[str, ...]
    kept: tuple[str, ...]
    unused: tuple[str, ...]


def load_public(network: Backbone, state: Mapping[str, Tensor], layout: str, classes: Sequence[int] | None = None
                ) -> LoadReport:
    """Copy the weights of a public checkpoint's state dict into ``network``.

    classes  for train ids 1 .. C, the row of the checkpoint's classifier; None keeps ours
    Raises ``InputError`` naming what is missing or of another shape; the network is then unchanged.
    """
    if layout not in LAYOUTS:
        raise InputError(f'no layout {layout!r}; choose one of {", ".join(LAYOUTS)}')
    state = {name.removeprefix('module.'): value for name, value in state.items()}
    pairs, head = _layers(network, state, layout)
    ours = network.state_dict()
    found: dict[str, Tensor] = {}
    used: set[str] = set()
    missing, wrong = [], []
    for mine, theirs in pairs:
        for name in (n for n in ours if n.rpartition('.')[0] == mine and not n.endswith('num_batches_tracked')):
            kind = name.rpartition('.')[2]
            source = _source(f'{theirs}.{"weight" if kind == "scale" else kind}', state, theirs)
            if source is None:
                missing.append(f'{theirs} for {name}')
                continue
            used.add(source)
            value = _shaped(state[source], ours[name], source, layout)
            if value is None:
                wrong.append(f'{source} is {list(state[source].shape)}, {name} {list(ours[name].shape)}')
            else:
                found[name] = value
    if missing or wrong:
        raise InputError(f'the checkpoint does not fit {type(network).__name__} in layout {layout!r}: '
                         + '; '.join([f'lacks {", ".join(missing[:3])}'] * bool(missing) + wrong[:3])
                         + f' ({len(missing) + len(wrong)} in all); check depth, width and layout')
    if classes is not None:
        found |= _classifier(ours, state, head, classes)
        used |= {name for name in state if name.startswith(head)}
    with torch.no_grad():
        network.load_state_dict({**ours, **found})
    kept = tuple(n for n in ours if n not in found and not n.endswith('num_batches_tracked'))
    unused = tuple(n for n in state if n not in used and not n.endswith('num_batches_tracked'))
    return LoadReport(tuple(found), kept, unused)


def _source(name: str, state: Mapping[str, Tensor], layer: str) -> str | None:
    """The entry of ``state`` that holds a parameter: weights of sparse convolutions may be called ``kernel``."""
    if name in state:
        return name
    kernel = f'{layer}.kernel'
    return kernel if name.endswith('.weight') and kernel in state else None


def _shaped(value: Tensor, ours: Tensor, source: str, layout: str) -> Tensor | None:
    """Their tensor in our shape and axis order, or None if it does not fit.

    Sparse kernels: ours are (out, z, y, x, in). TorchSparse counts taps of odd kernels with x fastest, of even ones
    with x slowest; Minkowski always x fastest: [taps, in, out], or [in, out] for one tap. mmdet3d gives spconv
    coordinates in the order x, y, z.
    """
    value = value.detach().float()
    if source.endswith('.kernel'):
        size = round((1 if value.ndim == 2 else value.shape[0]) ** (1 / 3))
        value = value.reshape(size, size, size, *value.shape[-2:])
        if size % 2 == 0 and layout != 'slidr':
            value = value.permute(2, 1, 0, 3, 4)
        value = value.permute(4, 0, 1, 2, 3)
    elif value.ndim == 5:
        value = value.permute(0, 3, 2, 1, 4)
    elif value.numel() == ours.numel() and value.squeeze().shape == ours.squeeze().shape:
        value = value.reshape(ours.shape)
    return value.contiguous() if value.shape == ours.shape else None


def _classifier(ours: Mapping[str, Tensor], state: Mapping[str, Tensor], head: str, classes: Sequence[int]
                ) -> dict[str, Tensor]:
    """Rows of their classifier in the order of our classes."""
    weight = _source(f'{head}.weight', state, head)
    if weight is None or f'{head}.bias' not in state:
        raise InputError(f'the checkpoint has no classifier {head}; load it without classes')
    matrix = state[weight].detach().float()
    matrix = matrix.squeeze(0).t() if weight.endswith('.kernel') else matrix.flatten(1)
    bias = state[f'{head}.bias'].detach().float().flatten()
    rows = torch.tensor(list(classes))
    if len(rows) != len(ours['classifier.bias']) or matrix.shape[1] != ours['classifier.weight'].shape[1] or (
            len(rows) and (int(rows.min()) < 0 or int(rows.max()) >= len(bias))):
        raise InputError(f'{head} has {list(matrix.shape)} weights, asked for {len(rows)} of its rows as our '
                         f'{list(ours["classifier.weight"].shape)}; load it without classes')
    return {'classifier.weight': matrix[rows], 'classifier.bias': bias[rows]}


def _layers(network: Backbone, state: Mapping[str, Tensor], layout: str) -> tuple[list[Pair], str]:
    """Pairs of layer names, and the name of their classifier."""
    if layout == 'frnet' and isinstance(network, FRNet):
        return list(_frnet(network)), 'decode_head.conv_seg'
    if layout == 'waffleiron' and isinstance(network, WaffleIron):
        return list(_waffle_iron(network)), 'classif'
    if isinstance(network, MinkUNet) and layout == 'slidr':
        return list(_minkunet(network, _Minkowski())), 'final'
    if isinstance(network, MinkUNet) and layout == 'openpcseg':
        return list(_minkunet(network, _Spvnas())), 'classifier.0'
    if isinstance(network, MinkUNet) and layout == 'mmdet3d':
        on_spconv = any(name.endswith('.conv1.weight') for name in state)
        return list(_minkunet(network, _Mmdet('' if on_spconv else 'net.'))), 'decode_head.conv_seg'
    raise InputError(f'layout {layout!r} is not one of {type(network).__name__}; '
                     'mmdet3d, openpcseg and slidr are MinkUNets, frnet is FRNet, waffleiron is WaffleIron')


class _Spvnas:
    """Names of SPVNAS and OpenPCSeg: stem, stage1 .. 4, up1 .. 4, blocks of ``net`` and ``downsample``."""

    def stem(self, layer: int) -> Pair:
        return f'stem.{3 * layer}', f'stem.{3 * layer + 1}'

    def down(self, level: int) -> Pair:
        return f'stage{level + 1}.0.net.0', f'stage{level + 1}.0.net.1'

    def up(self, step: int) -> Pair:
        return f'up{step + 1}.0.net.0', f'up{step + 1}.0.net.1'

    def encoder(self, level: int, block: int) -> str:
        return f'stage{level + 1}.{block + 1}'

    def decoder(self, step: int, block: int) -> str:
        return f'up{step + 1}.1.{block}'

    def inside(self, layer: str) -> Pair:
        return {'first': ('net.0', 'net.1'), 'second': ('net.3', 'net.4'),
                'project': ('downsample.0', 'downsample.1')}[layer]


class _Mmdet(_Spvnas):
    """Names of mmdetection3d's backbone; ``net`` is 'net.' on TorchSparse, '' on spconv, whose blocks are ResNet's."""

    def __init__(self, net: str) -> None:
        self.net = net

    def stem(self, layer: int) -> Pair:
        return self._module(f'conv_input.{layer}')

    def down(self, level: int) -> Pair:
        return self._module(f'encoder.{level}.0')

    def up(self, step: int) -> Pair:
        return self._module(f'decoder.{step}.0')

    def encoder(self, level: int, block: int) -> str:
        return f'backbone.encoder.{level}.{block + 1}'

    def decoder(self, step: int, block: int) -> str:
        return f'backbone.decoder.{step}.1.{block}'

    def inside(self, layer: str) -> Pair:
        if self.net or layer == 'project':
            return super().inside(layer)
        return {'first': ('conv1', 'bn1'), 'second': ('conv2', 'bn2')}[layer]

    def _module(self, name: str) -> Pair:
        return f'backbone.{name}.{self.net}0', f'backbone.{name}.{self.net}1'


class _Minkowski(_Spvnas):
    """Names of MinkowskiEngine's Res16UNet, as SLidR and Seal publish it."""

    def stem(self, layer: int) -> Pair:
        return 'conv0p1s1', 'bn0.bn'

    def down(self, level: int) -> Pair:
        return f'conv{level + 1}p{2 ** level}s2', f'bn{level + 1}.bn'

    def up(self, step: int) -> Pair:
        return f'convtr{step + 4}p{2 ** (4 - step)}s2', f'bntr{step + 4}.bn'

    def encoder(self, level: int, block: int) -> str:
        return f'block{level + 1}.{block}'

    def decoder(self, step: int, block: int) -> str:
        return f'block{step + 5}.{block}'

    def inside(self, layer: str) -> Pair:
        return {'first': ('conv1', 'norm1.bn'), 'second': ('conv2', 'norm2.bn'),
                'project': ('downsample.0', 'downsample.1.bn')}[layer]


def _minkunet(network: MinkUNet, theirs: _Spvnas) -> Iterator[Pair]:
    def both(ours: str, names: Pair) -> Iterator[Pair]:
        yield f'{ours}.conv', names[0]
        yield f'{ours}.norm', names[1]

    for layer in range(len(network.stem)):
        yield from both(f'stem.{layer}', theirs.stem(layer))
    for level in range(len(network.down)):
        yield from both(f'down.{level}', theirs.down(level))
        yield from both(f'up.{level}', theirs.up(level))
    sides = (('encoder', network.encoder, theirs.encoder), ('decoder', network.decoder, theirs.decoder))
    for side, stages, name in sides:
        for level, stage in enumerate(stages):
            for number, block in enumerate(stage.children()):
                prefix = name(level, number)
                for inner in ('first', 'second', 'project'):
                    conv, norm = theirs.inside(inner)
                    if inner != 'project' or (isinstance(block, SparseResidual) and block.project is not None):
                        yield from both(f'{side}.{level}.{number}.{inner}', (f'{prefix}.{conv}', f'{prefix}.{norm}'))


def _rows(ours: str, theirs: str, numbers: Sequence[int]) -> Iterator[Pair]:
    """Layers of two Sequentials with the same numbers."""
    for number in numbers:
        yield f'{ours}.{number}', f'{theirs}.{number}'


def _frnet(network: FRNet) -> Iterator[Pair]:
    encoder, backbone, head = 'voxel_encoder', 'backbone', 'decode_head'
    yield 'pre_norm', f'{encoder}.pre_norm'
    for i in range(len(network.encoder)):
        yield from _rows(f'encoder.{i}', f'{encoder}.ffe_layers.{i}', (0, 1))
    yield 'encoder_out', f'{encoder}.ffe_layers.{len(network.encoder)}'
    yield 'compress', f'{encoder}.compression_layers.0'
    yield from _rows('stem', f'{backbone}.stem', (0, 1, 3, 4, 6, 7))
    yield from _rows('point_stem', f'{backbone}.point_stem', (0, 1))
    yield from _rows('image_stem', f'{backbone}.fusion_stem', (0, 1))
    for i, stage in enumerate(network.stages):
        for j, block in enumerate(stage.children()):
            prefix = f'{backbone}.layer{i + 1}.{j}'
            for number, ours in ((1, 'first'), (2, 'second')):
                yield f'stages.{i}.{j}.{ours}', f'{prefix}.conv{number}'
                yield f'stages.{i}.{j}.{ours}_norm', f'{prefix}.bn{number}'
            if len(list(block.get_submodule('shortcut').children())):
                yield from _rows(f'stages.{i}.{j}.shortcut', f'{prefix}.downsample', (0, 1))
        yield from _rows(f'point_fusion.{i}', f'{backbone}.point_fusion_layers.{i}', (0, 1))
        yield from _rows(f'image_fusion.{i}', f'{backbone}.pixel_fusion_layers.{i}', (0, 1))
        yield from _rows(f'attention.{i}', f'{backbone}.attention_layers.{i}', (0, 1, 3, 4))
    for i in range(len(network.image_out)):
        yield f'image_out.{i}.0', f'{backbone}.fuse_layer{i + 1}.conv'
        yield f'image_out.{i}.1', f'{backbone}.fuse_layer{i + 1}.bn'
        yield from _rows(f'point_out.{i}', f'{backbone}.point_fuse_layer{i + 1}', (0, 1))
    for i in range(len(network.head)):
        yield from _rows(f'head.{i}', f'{head}.mlps.{i}', (0, 1))


def _waffle_iron(network: WaffleIron) -> Iterator[Pair]:
    for ours, theirs in (('norm', 'norm'), ('point', 'conv1'), ('offset_norm', 'conv2.0'), ('offset_in', 'conv2.1'),
                         ('hidden_norm', 'conv2.2'), ('offset_out', 'conv2.4'), ('join', 'final')):
        yield f'embed.{ours}', f'embed.{theirs}'
    for i in range(len(network.channel_mix)):
        for kind, layers in (('channel_mix', 'mlp'), ('spatial_mix', 'ffn')):
            yield f'{kind}.{i}.norm', f'waffleiron.{kind}.{i}.norm'
            yield f'{kind}.{i}.first', f'waffleiron.{kind}.{i}.{layers}.0'
            yield f'{kind}.{i}.second', f'waffleiron.{kind}.{i}.{layers}.2'
            yield f'{kind}.{i}', f'waffleiron.{kind}.{i}.scale'
