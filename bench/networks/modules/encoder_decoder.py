"""A small U-Net: levels down and up again (Ronneberger et al., arXiv 1505.04597)."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from bench.networks.modules.base import BatchNorm, Classifier, NetworkModule, Output


class EncoderDecoderModule(NetworkModule):
    """Features: ``stage1`` to ``stage3`` on the way down, then ``up2`` and ``up1``, each after its level's last ReLU.

    Args:
        planes: channels of each level; all but the first halve the image.
        classes: number of classes.
        channels: of the images.
    """

    def __init__(self, planes: Sequence[int], classes: int, channels: int) -> None:
        super().__init__()
        self.down = nn.ModuleList(_Level(a, b) for a, b in pairwise([channels, *planes]))
        self.up = nn.ModuleList(_Level(a + b, b) for a, b in pairwise(reversed(planes)))
        self.shrink = nn.MaxPool2d(2)
        self.linear = Classifier(planes[0], classes)

    def forward(self, x: Tensor) -> Output:
        """Map images (N, channels, H, W) to logits (N, classes, H, W) and the named features."""
        features: dict[str, Tensor] = {}
        for i, level in enumerate(self.down, 1):
            x = features[f"stage{i}"] = level(self.shrink(x) if i > 1 else x)
        for i, level in zip(range(len(self.up), 0, -1), self.up, strict=True):
            x = features[f"up{i}"] = level(torch.cat([interpolate(x, scale_factor=2), features[f"stage{i}"]], 1))
        return Output(self.linear(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), features)


class _Level(nn.Module):
    """Two 3x3 convolutions, each normalised and rectified."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm1 = BatchNorm(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = BatchNorm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm1(self.conv1(x), relu=True)
        y: Tensor = self.norm2(self.conv2(x), relu=True)
        return y
