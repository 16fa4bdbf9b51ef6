"""The modules of the networks beside this file."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torchvision.models import MobileNetV2

from bench.networks.modules.base import NetworkModule, Output


class GroupNormModule(NetworkModule):
    """Features ``conv1``, ``conv2``, ``conv3`` (N, C, H, W) and ``pool`` (N, C)."""

    def __init__(self, width: int, classes: int, channels: int) -> None:
        super().__init__()
        planes = [channels, width, 2 * width, 4 * width]
        self.convolutions = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 3, stride=2, padding=1), nn.GroupNorm(4, b), nn.GELU())
            for a, b in pairwise(planes)
        )
        self.norm = nn.LayerNorm(planes[-1])
        self.linear = nn.Linear(planes[-1], classes)

    def forward(self, x: Tensor) -> Output:
        """Logits (N, classes) and features."""
        features = {}
        for i, convolution in enumerate(self.convolutions, 1):
            x = features[f"conv{i}"] = convolution(x)
        features["pool"] = self.norm(x.mean((2, 3)))
        return Output(self.linear(features["pool"]), features)


class _Wrapped(NetworkModule):
    """Feature ``pool``, (N, 1280)."""

    def __init__(self, net: MobileNetV2) -> None:
        super().__init__()
        self.body, self.linear = net.features, net.classifier[1]

    def forward(self, x: Tensor) -> Output:
        """Logits (N, classes) and the feature."""
        pool = torch.flatten(self.body(x).mean((2, 3)), 1)
        return Output(self.linear(pool), {"pool": pool})


def mobilenet(width: float, classes: int) -> NetworkModule:
    """The first three strides are 1 for images of 32 pixels."""
    settings = [
        [1, 16, 1, 1],
        [6, 24, 2, 1],
        [6, 32, 3, 2],
        [6, 64, 4, 2],
        [6, 96, 3, 1],
        [6, 160, 3, 2],
        [6, 320, 1, 1],
    ]
    net = MobileNetV2(num_classes=classes, width_mult=width, inverted_residual_setting=settings, dropout=0.0)
    net.features[0][0].stride = (1, 1)
    return _Wrapped(net)
