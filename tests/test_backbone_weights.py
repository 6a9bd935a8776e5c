"""Loaders of public checkpoints, against networks built here with the published names and shapes."""

from __future__ import annotations

import pytest
import torch
from small_backbones import CLASSES, PLAIN, SENSOR, small, street
from torch import Tensor, nn

from sam2amml_core.errors import InputError
from sam2amml_core.lidar.backbones.backbone import PointBatch
from sam2amml_core.lidar.backbones.minkunet import MinkUNet, MinkUNetConfig
from sam2amml_core.lidar.backbones.public_weights import load_public
from sam2amml_core.lidar.backbones.waffle_iron import WaffleIron
from sam2amml_core.lidar.preparation import prepare

STEM, ENCODER, DECODER, BLOCKS = 4, (4, 6), (6, 4), (2, 1)


class Kernel(nn.Module):
    """A sparse convolution of TorchSparse or MinkowskiEngine: ``kernel`` [taps, in, out], [in, out] for one tap."""

    def __init__(self, inputs: int, outputs: int, size: int) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(*([size ** 3] if size > 1 else []), inputs, outputs))


class SpconvKernel(nn.Module):
    """One of spconv: ``weight`` [out, k, k, k, in]."""

    def __init__(self, inputs: int, outputs: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, size, size, size, inputs))


def filled(module: nn.Module) -> dict[str, Tensor]:
    """The state dict with random numbers everywhere, variances positive."""
    return {name: value if value.dtype == torch.int64 else torch.rand_like(value) + 0.1
            for name, value in module.state_dict().items()}


def tree(entries: dict[str, nn.Module]) -> nn.Module:
    """Modules under dotted names."""
    root = nn.Module()
    for path, module in entries.items():
        parent = root
        *folders, name = path.split('.')
        for folder in folders:
            if folder not in dict(parent.named_children()):
                parent.add_module(folder, nn.Module())
            parent = parent.get_submodule(folder)
        parent.add_module(name, module)
    return root


def published_minkunet(layout: str) -> dict[str, Tensor]:
    """Names as in mmdetection3d's minkunet_backbone.py (v1.4), OpenPCSeg's minkunet.py, SLidR's res16unet.py."""
    entries: dict[str, nn.Module] = {}
    kernel = SpconvKernel if layout == 'mmdet3d-spconv' else Kernel

    def layer(conv: str, norm: str, inputs: int, outputs: int, size: int) -> None:
        entries[conv] = kernel(inputs, outputs, size)
        entries[norm] = nn.BatchNorm1d(outputs)

    def block(prefix: str, inputs: int, outputs: int) -> None:
        first, second, project = {
            'mmdet3d': (('net.0', 'net.1'), ('net.3', 'net.4'), ('downsample.0', 'downsample.1')),
            'openpcseg': (('net.0', 'net.1'), ('net.3', 'net.4'), ('downsample.0', 'downsample.1')),
            'mmdet3d-spconv': (('conv1', 'bn1'), ('conv2', 'bn2'), ('downsample.0', 'downsample.1')),
            'slidr': (('conv1', 'norm1.bn'), ('conv2', 'norm2.bn'), ('downsample.0', 'downsample.1.bn'))}[layout]
        layer(f'{prefix}.{first[0]}', f'{prefix}.{first[1]}', inputs, outputs, 3)
        layer(f'{prefix}.{second[0]}', f'{prefix}.{second[1]}', outputs, outputs, 3)
        if inputs != outputs:
            layer(f'{prefix}.{project[0]}', f'{prefix}.{project[1]}', inputs, outputs, 1)

    net = 'net.' if layout != 'mmdet3d-spconv' else ''
    names = {
        'stem': {'openpcseg': ('stem.{0}', 'stem.{1}'), 'slidr': ('conv0p1s1', 'bn0.bn')},
        'down': {'openpcseg': ('stage{n}.0.net.0', 'stage{n}.0.net.1'), 'slidr': ('conv{n}p{p}s2', 'bn{n}.bn')},
        'up': {'openpcseg': ('up{n}.0.net.0', 'up{n}.0.net.1'), 'slidr': ('convtr{m}p{q}s2', 'bntr{m}.bn')}}
    for i in range(1 if layout == 'slidr' else 2):
        conv, norm = names['stem'].get(layout, (f'backbone.conv_input.{i}.{net}0', f'backbone.conv_input.{i}.{net}1'))
        layer(conv.format(3 * i, 0), norm.format(0, 3 * i + 1), STEM if i else 4, STEM, 3)
    before = STEM
    for i, (width, depth) in enumerate(zip(ENCODER, BLOCKS, strict=True)):
        conv, norm = names['down'].get(layout, (f'backbone.encoder.{i}.0.{net}0', f'backbone.encoder.{i}.0.{net}1'))
        layer(conv.format(n=i + 1, p=2 ** i), norm.format(n=i + 1), before, before, 2)
        for j in range(depth):
            block({'openpcseg': f'stage{i + 1}.{j + 1}', 'slidr': f'block{i + 1}.{j}'}.get(
                layout, f'backbone.encoder.{i}.{j + 1}'), before if j == 0 else width, width)
        before = width
    for i, (width, skip) in enumerate(zip(DECODER, (ENCODER[0], STEM), strict=True)):
        conv, norm = names['up'].get(layout, (f'backbone.decoder.{i}.0.{net}0', f'backbone.decoder.{i}.0.{net}1'))
        layer(conv.format(n=i + 1, m=i + 4, q=2 ** (4 - i)), norm.format(n=i + 1, m=i + 4), before, width, 2)
        block({'openpcseg': f'up{i + 1}.1.0', 'slidr': f'block{i + 5}.0'}.get(layout, f'backbone.decoder.{i}.1.0'),
              width + skip, width)
        before = width
    state = filled(tree(entries))
    if layout == 'slidr':
        return {**state, 'final.kernel': torch.randn(before, 20), 'final.bias': torch.randn(1, 20)}
    head = 'classifier.0' if layout == 'openpcseg' else 'decode_head.conv_seg'
    return {**state, f'{head}.weight': torch.randn(20, before), f'{head}.bias': torch.randn(20)}


def minkunet(layout: str) -> MinkUNet:
    return MinkUNet(MinkUNetConfig(CLASSES, stem=STEM, stem_layers=1 if layout == 'slidr' else 2, encoder=ENCODER,
                                   decoder=DECODER, blocks=BLOCKS, decoder_blocks=1))


@pytest.mark.parametrize('layout', ['mmdet3d', 'mmdet3d-spconv', 'openpcseg', 'slidr'])
def test_every_weight_of_a_published_minkunet_has_its_place(layout: str) -> None:
    state, network = published_minkunet(layout), minkunet(layout)
    classes = [3, 1, 4, 0, 19]
    report = load_public(network, {f'module.{k}': v for k, v in state.items()}, layout.split('-')[0], classes)
    assert report.unused == ()
    assert report.kept == ()
    head = {'slidr': 'final', 'openpcseg': 'classifier.0'}.get(layout, 'decode_head.conv_seg')
    weight = state['final.kernel'].t() if layout == 'slidr' else state[f'{head}.weight']
    torch.testing.assert_close(network.classifier.weight.data, weight[classes])
    torch.testing.assert_close(network.classifier.bias.data, state[f'{head}.bias'].flatten()[classes])


def test_taps_land_where_each_library_counts_them() -> None:
    """(out, z, y, x, in): x counts fastest, but for even kernels of TorchSparse; spconv's axes are x, y, z."""
    state, network = published_minkunet('openpcseg'), minkunet('openpcseg')
    load_public(network, state, 'openpcseg')
    ours = network.state_dict()
    for z, y, x in ((0, 1, 2), (2, 0, 1)):
        tap = state['stem.0.kernel'][9 * z + 3 * y + x]
        torch.testing.assert_close(ours['stem.0.conv.weight'][:, z, y, x], tap.t())
    torch.testing.assert_close(ours['down.0.conv.weight'][:, 0, 0, 1], state['stage1.0.net.0.kernel'][4].t())
    state, network = published_minkunet('slidr'), minkunet('slidr')
    load_public(network, state, 'slidr')
    torch.testing.assert_close(network.state_dict()['down.0.conv.weight'][:, 0, 0, 1], state['conv1p1s2.kernel'][1].t())
    state, network = published_minkunet('mmdet3d-spconv'), minkunet('mmdet3d')
    load_public(network, state, 'mmdet3d')
    torch.testing.assert_close(network.state_dict()['stem.0.conv.weight'][:, 0, 1, 2],
                               state['backbone.conv_input.0.0.weight'][:, 2, 1, 0])


def test_what_does_not_fit_is_named_and_nothing_is_changed() -> None:
    state, network = published_minkunet('openpcseg'), minkunet('openpcseg')
    before = {name: value.clone() for name, value in network.state_dict().items()}
    lacking = {name: value for name, value in state.items() if name != 'stage2.0.net.0.kernel'}
    with pytest.raises(InputError, match=r'lacks stage2\.0\.net\.0 for down\.1\.conv\.weight.*check depth'):
        load_public(network, lacking, 'openpcseg')
    wide = {**state, 'stem.1.weight': torch.zeros(9)}
    with pytest.raises(InputError, match=r'stem\.1\.weight is \[9\], stem\.0\.norm\.weight \[4\]'):
        load_public(network, wide, 'openpcseg')
    with pytest.raises(InputError, match='asked for 2 of its rows'):
        load_public(network, state, 'openpcseg', [0, 1])
    with pytest.raises(InputError, match='asked for 5 of its rows'):
        load_public(network, state, 'openpcseg', [0, 1, 2, 3, 20])
    with pytest.raises(InputError, match='no layout .caffe'):
        load_public(network, state, 'caffe')
    with pytest.raises(InputError, match='not one of MinkUNet'):
        load_public(network, state, 'frnet')
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, before[name])


def published_frnet() -> dict[str, Tensor]:
    """Names as in FRNet's frustum_encoder, frnet_backbone and frnet_head, in the size of ``small('frnet')``."""
    def linear(inputs: int, outputs: int) -> nn.Module:
        return nn.Sequential(nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.ReLU())

    def conv(*widths: int) -> nn.Module:
        layers: list[nn.Module] = []
        for a, b in zip(widths[:-1], widths[1:], strict=True):
            layers += [nn.Conv2d(a, b, 3, bias=False), nn.BatchNorm2d(b), nn.ReLU()]
        return nn.Sequential(*layers)

    entries: dict[str, nn.Module] = {
        'voxel_encoder.pre_norm': nn.BatchNorm1d(8),
        'voxel_encoder.ffe_layers': nn.ModuleList([linear(8, 8), linear(8, 8), nn.Linear(8, 8)]),
        'voxel_encoder.compression_layers': nn.Sequential(nn.Linear(8, 4), nn.ReLU()),
        'backbone.stem': conv(4, 4, 8, 8), 'backbone.point_stem': linear(16, 8), 'backbone.fusion_stem': conv(16, 8),
        'backbone.point_fusion_layers': nn.ModuleList([linear(16, 8), linear(16, 8)]),
        'backbone.pixel_fusion_layers': nn.ModuleList([conv(16, 8), conv(16, 8)]),
        'backbone.attention_layers': nn.ModuleList([conv(8, 8, 8), conv(8, 8, 8)]),
        'backbone.fuse_layer1.conv': nn.Conv2d(24, 8, 3, bias=False), 'backbone.fuse_layer1.bn': nn.BatchNorm2d(8),
        'backbone.point_fuse_layer1': linear(24, 8),
        'decode_head.mlps': nn.ModuleList([linear(8, 8), linear(8, 8), linear(8, 8)]),
        'decode_head.conv_seg': nn.Linear(8, 20), 'auxiliary_head.conv_seg': nn.Conv2d(8, 20, 1)}
    for stage in (1, 2):
        entries.update({f'backbone.layer{stage}.0.conv1': nn.Conv2d(8, 8, 3, bias=False),
                        f'backbone.layer{stage}.0.bn1': nn.BatchNorm2d(8),
                        f'backbone.layer{stage}.0.conv2': nn.Conv2d(8, 8, 3, bias=False),
                        f'backbone.layer{stage}.0.bn2': nn.BatchNorm2d(8)})
    entries['backbone.layer2.0.downsample'] = nn.Sequential(nn.Conv2d(8, 8, 1, bias=False), nn.BatchNorm2d(8))
    return filled(tree(entries))


def test_every_weight_of_a_published_frnet_has_its_place() -> None:
    state, network = published_frnet(), small('frnet')
    report = load_public(network, state, 'frnet', range(CLASSES))
    assert report.kept == ()
    assert report.unused == ('auxiliary_head.conv_seg.weight', 'auxiliary_head.conv_seg.bias')
    torch.testing.assert_close(network.state_dict()['stages.1.0.shortcut.0.weight'],
                               state['backbone.layer2.0.downsample.0.weight'])
    kept = load_public(small('frnet'), state, 'frnet').kept
    assert kept == ('classifier.weight', 'classifier.bias')


class PublishedWaffleIron(nn.Module):
    """Layers and formulas of waffleiron/embedding.py and backbone.py, written down again over [1, C, N]."""

    def __init__(self, channels: int, depth: int, grids: tuple[tuple[int, int], ...]) -> None:
        super().__init__()
        self.grids = grids
        self.embed = tree({'norm': nn.BatchNorm1d(5), 'conv1': nn.Conv1d(5, channels, 1), 'conv2': nn.Sequential(
            nn.BatchNorm2d(5), nn.Conv2d(5, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(),
            nn.Conv2d(channels, channels, 1, bias=False)), 'final': nn.Conv1d(2 * channels, channels, 1)})
        self.waffleiron = nn.Module()
        for kind, name, conv in (('channel_mix', 'mlp', nn.Conv1d), ('spatial_mix', 'ffn', nn.Conv2d)):
            extra = {'padding': 1, 'groups': channels} if kind == 'spatial_mix' else {}
            size = 3 if kind == 'spatial_mix' else 1
            self.waffleiron.add_module(kind, nn.ModuleList([tree({
                'norm': nn.BatchNorm1d(channels),
                name: nn.Sequential(conv(channels, channels, size, **extra), nn.ReLU(),  # type: ignore[arg-type]
                                    conv(channels, channels, size, **extra)),  # type: ignore[arg-type]
                'scale': nn.Conv1d(channels, channels, 1, bias=False, groups=channels)}) for _ in range(depth)]))
        self.classif = nn.Conv1d(channels, 20, 1)

    def forward(self, feats: Tensor, near: Tensor, cells: list[Tensor]) -> Tensor:
        embed = dict(self.embed.named_children())
        x = embed['norm'](feats.t()[None])
        around = embed['conv2'](x[:, :, near[:, 1:].long()] - x[..., None]).max(-1)[0]
        tokens = embed['final'](torch.cat((embed['conv1'](x), around), 1))
        spatial, channel = (self.waffleiron.get_submodule(n).children() for n in ('spatial_mix', 'channel_mix'))
        for number, (flat, point) in enumerate(zip(spatial, channel, strict=True)):
            (height, width), cell = self.grids[number % 3], cells[number % 3]
            hidden = flat.get_submodule('norm')(tokens)[0]
            sums = torch.zeros(hidden.shape[0], height * width).index_add_(1, cell, hidden)
            image = sums / torch.bincount(cell, minlength=height * width).clamp(min=1)
            image = flat.get_submodule('ffn')(image.reshape(1, -1, height, width)).flatten(2)
            tokens = tokens + flat.get_submodule('scale')(image)[:, :, cell]
            hidden = point.get_submodule('mlp')(point.get_submodule('norm')(tokens))
            tokens = tokens + point.get_submodule('scale')(hidden)
        return self.classif(tokens)[0].t()


def test_a_published_waffle_iron_gives_the_same_scores_in_ours() -> None:
    torch.manual_seed(0)
    ours = small('waffle_iron').eval()
    if not isinstance(ours, WaffleIron):
        raise TypeError
    theirs = PublishedWaffleIron(8, 3, ours.config.space.grids).eval()
    theirs.load_state_dict(filled(theirs))
    rows = list(range(1, CLASSES + 1))
    report = load_public(ours, theirs.state_dict(), 'waffleiron', rows)
    assert report.kept == report.unused == ()
    cloud = street()
    batch = PointBatch.join([prepare(ours.input_spec, cloud, SENSOR, PLAIN)], [cloud])
    arrays = batch.inputs
    with torch.no_grad():
        expected = theirs(arrays['features'], arrays['near'], [arrays[f'cell_{i}'] for i in range(3)])
        found = ours(batch).logits
    torch.testing.assert_close(found, expected[arrays['voxel']][:, rows], rtol=1e-4, atol=1e-4)
