"""FRNet against its published formulas, written down again with ``torch.unique`` and explicit coordinates."""

from __future__ import annotations

import torch
from small_backbones import CLASSES, PLAIN, SENSOR, small, street
from test_backbone_weights import filled, tree
from torch import Tensor, nn
from torch.nn import functional as F

from sam2amml_core.bundle import Normalisation
from sam2amml_core.lidar.backbones.backbone import PointBatch
from sam2amml_core.lidar.backbones.public_weights import load_public
from sam2amml_core.lidar.preparation import prepare

RAW = Normalisation(mean=PLAIN.mean, std=dict.fromkeys(PLAIN.std, 1.0))
HEIGHT, WIDTH = SENSOR.image_height, SENSOR.image_width
EPS = 1e-3


def linear(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs, EPS), nn.ReLU())


def conv(*widths: int, last: type[nn.Module] = nn.Hardswish) -> nn.Sequential:
    layers: list[nn.Module] = []
    for number, (a, b) in enumerate(zip(widths[:-1], widths[1:], strict=True)):
        layers += [nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b, EPS),
                   last() if number == len(widths) - 2 else nn.Hardswish()]
    return nn.Sequential(*layers)


class Published(nn.Module):
    """Voxel encoder, backbone and head in the size of ``small('frnet')``: two stages of one block, strides 1 and 2."""

    def __init__(self) -> None:
        super().__init__()
        entries: dict[str, nn.Module] = {
            'pre_norm': nn.BatchNorm1d(8, EPS),
            'ffe_layers': nn.ModuleList([linear(8, 8), linear(8, 8), nn.Linear(8, 8)]),
            'compression_layers': nn.Sequential(nn.Linear(8, 4), nn.ReLU())}
        self.voxel_encoder = tree(entries)
        entries = {
            'stem': conv(4, 4, 8, 8), 'point_stem': linear(16, 8), 'fusion_stem': conv(16, 8),
            'point_fusion_layers': nn.ModuleList([linear(16, 8), linear(16, 8)]),
            'pixel_fusion_layers': nn.ModuleList([conv(16, 8), conv(16, 8)]),
            'attention_layers': nn.ModuleList([conv(8, 8, 8, last=nn.Sigmoid) for _ in range(2)]),
            'fuse_layer1.conv': nn.Conv2d(24, 8, 3, padding=1, bias=False), 'fuse_layer1.bn': nn.BatchNorm2d(8, EPS),
            'point_fuse_layer1': linear(24, 8),
            'layer2.0.downsample': nn.Sequential(nn.Conv2d(8, 8, 1, 2, bias=False), nn.BatchNorm2d(8, EPS))}
        for stage in (1, 2):
            entries.update({f'layer{stage}.0.conv1': nn.Conv2d(8, 8, 3, stage, 1, bias=False),
                            f'layer{stage}.0.bn1': nn.BatchNorm2d(8, EPS),
                            f'layer{stage}.0.conv2': nn.Conv2d(8, 8, 3, 1, 1, bias=False),
                            f'layer{stage}.0.bn2': nn.BatchNorm2d(8, EPS)})
        self.backbone = tree(entries)
        self.decode_head = tree({'mlps': nn.ModuleList([linear(8, 8) for _ in range(3)]),
                                 'conv_seg': nn.Linear(8, CLASSES)})

    def forward(self, points: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """points [N, 4]: x, y, z, intensity."""
        encoder, backbone = self.voxel_encoder.get_submodule, self.backbone.get_submodule

        kind = points.dtype

        def image(values: Tensor, stride: int) -> Tensor:
            cells, index = torch.unique(torch.stack((row // stride, column // stride)), dim=1, return_inverse=True)
            result = torch.zeros(values.shape[1], HEIGHT // stride, WIDTH // stride, dtype=kind)
            for number, (y, x) in enumerate(cells.t().tolist()):
                result[:, y, x] = values[index == number].amax(0)
            return result[None]

        def back(values: Tensor, stride: int) -> Tensor:
            return values[0][:, row // stride, column // stride].t()

        cell = row * WIDTH + column
        mean = torch.stack([points[cell == c, :3].mean(0) for c in cell])
        x = torch.cat((points, points[:, :3].norm(dim=1, keepdim=True), points[:, :3] - mean), 1)
        x = encoder('pre_norm')(x)
        features = []
        for layer in encoder('ffe_layers').children():
            x = layer(x)
            features.append(x)
        frusta = torch.zeros(1, 4, HEIGHT, WIDTH, dtype=kind)
        for c in cell.unique().tolist():
            frusta[0, :, c // WIDTH, c % WIDTH] = encoder('compression_layers')(x[cell == c].amax(0))
        pixels = backbone('stem')(frusta)
        points = backbone('point_stem')(torch.cat((back(pixels, 1), features[-1]), 1))
        pixels = backbone('fusion_stem')(torch.cat((image(points, 1), pixels), 1))
        images, clouds = [pixels], [points]
        for stage in (1, 2):
            part = {name: backbone(f'layer{stage}.0.{name}') for name in ('conv1', 'bn1', 'conv2', 'bn2')}
            hidden = part['bn2'](part['conv2'](F.hardswish(part['bn1'](part['conv1'](pixels)))))
            pixels = F.hardswish(hidden + (pixels if stage == 1 else backbone('layer2.0.downsample')(pixels)))
            points = backbone(f'point_fusion_layers.{stage - 1}')(torch.cat((back(pixels, stage), points), 1))
            fused = backbone(f'pixel_fusion_layers.{stage - 1}')(torch.cat((image(points, stage), pixels), 1))
            pixels = fused * backbone(f'attention_layers.{stage - 1}')(fused) + pixels
            images.append(F.interpolate(pixels, (HEIGHT, WIDTH), mode='bilinear', align_corners=True))
            clouds.append(points)
        whole = F.hardswish(backbone('fuse_layer1.bn')(backbone('fuse_layer1.conv')(torch.cat(images, 1))))
        out = back(whole, 1)
        extras = (backbone('point_fuse_layer1')(torch.cat(clouds, 1)), features[-2], features[-3])
        for mlp, extra in zip(self.decode_head.get_submodule('mlps').children(), extras, strict=True):
            out = mlp(out) + extra
        return self.decode_head.get_submodule('conv_seg')(out)


def test_a_published_frnet_gives_the_same_scores_in_ours() -> None:
    torch.manual_seed(0)
    theirs = Published().eval()
    theirs.load_state_dict({name: value - 0.6 if name.endswith('.weight') and value.ndim > 1 else value
                            for name, value in filled(theirs).items()})
    ours = small('frnet').eval()
    report = load_public(ours, theirs.state_dict(), 'frnet', range(CLASSES))
    assert report.kept == report.unused == ()
    cloud = street(250)
    prepared = prepare(ours.input_spec, cloud, SENSOR, RAW)
    batch = PointBatch.join([prepared], [cloud])
    pixel, points = batch.inputs['pixel'], batch.points.double()
    features = batch.inputs['features'].double()
    features[:, 3] = points[:, :3].norm(dim=1)
    with torch.no_grad():  # in double precision, so that rounding hides nothing
        expected = theirs.double()(points, pixel // WIDTH, pixel % WIDTH)
        found, _ = ours.double().predict({'features': features, 'pixel': pixel})
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
