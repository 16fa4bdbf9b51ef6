"""ShuffleNet V1 (Zhang et al., arXiv 1707.01083) and V2 (Ma et al., arXiv 1807.11164) for images of 32 pixels."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bench.networks.mobile import SHUFFLE_STEM, SHUFFLE_V1, SHUFFLE_V2, SHUFFLE_V2_HEAD
from bench.networks.modules.base import BatchNorm, Classifier, NetworkModule, Output

GROUPS = 3


def shuffled(x: Tensor, groups: int) -> Tensor:
    """Channels (N, C, H, W) in another order: the first of each group, then the second of each, ...

    By way of channels-last, the layout of all networks here, which a plain reshape would lose.
    """
    n, c, h, w = x.shape
    grouped = x.permute(0, 2, 3, 1).reshape(n, h, w, groups, c // groups)
    return grouped.transpose(3, 4).reshape(n, h, w, c).permute(0, 3, 1, 2)


class _ShuffleNet(NetworkModule):
    """Features: ``stem``, ``stage1``, ``stage2``, ``stage3`` and ``pool``.

    ``stage1.before`` is what the stage gives before the ReLU of its last block, likewise of the others. A stage's block
    maps an activation to what it gives before that ReLU and after it.
    """

    head: nn.Module

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(*_convolution(channels, SHUFFLE_STEM, 1), nn.ReLU(inplace=True))
        self.stages = ["stage1", "stage2", "stage3"]

    def forward(self, x: Tensor) -> Output:
        """Map images (N, channels, H, W) to logits (N, classes) and the named features."""
        x = self.stem(x)
        features = {"stem": x}
        for name in self.stages:
            for block in getattr(self, name):
                before, x = block(x)
            features |= {f"{name}.before": before, name: x}
        # In the type of the last layer, under autocast too: a mean that was rounded would round the logits.
        features["pool"] = self.head(x).mean((2, 3), dtype=self.linear.weight.dtype)
        return Output(self.linear(features["pool"]), features)


class ShuffleNetV1Module(_ShuffleNet):
    """Bottlenecks of a quarter of the width, of grouped 1x1 convolutions."""

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__(channels)
        inputs = SHUFFLE_STEM
        for name, (planes, blocks) in zip(self.stages, SHUFFLE_V1, strict=True):
            # The first block is joined with its input, which counts among the channels that it gives.
            first = _Bottleneck(inputs, planes - inputs, halves=True)
            others = [_Bottleneck(planes, planes, halves=False) for _ in range(blocks - 1)]
            self.add_module(name, nn.Sequential(first, *others))
            inputs = planes
        self.head = nn.Identity()
        self.linear = Classifier(inputs, classes)


class _Bottleneck(nn.Module):
    """Added to its input, or, where it halves the image, beside the mean of the input's neighbouring pixels."""

    def __init__(self, inputs: int, outputs: int, *, halves: bool) -> None:
        super().__init__()
        inner, stride = outputs // 4, 2 if halves else 1
        self.groups = 1 if inputs == SHUFFLE_STEM else GROUPS
        self.narrow = nn.Sequential(*_convolution(inputs, inner, 1, groups=self.groups), nn.ReLU(inplace=True))
        self.path = nn.Sequential(
            *_convolution(inner, inner, 3, stride=stride, groups=inner),
            nn.ReLU(inplace=True),
            *_convolution(inner, outputs, 1, groups=GROUPS),
        )
        self.shortcut = nn.AvgPool2d(3, stride=2, padding=1) if halves else None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.path(shuffled(self.narrow(x), self.groups))
        before = y + x if self.shortcut is None else torch.cat([y, self.shortcut(x)], dim=1)
        return before, before.relu()


class ShuffleNetV2Module(_ShuffleNet):
    """Half of the channels pass a block untouched, then both halves are shuffled.

    A stage's feature is shuffled, and what it is before its ReLU is not.
    """

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__(channels)
        inputs = SHUFFLE_STEM
        for name, (planes, blocks) in zip(self.stages, SHUFFLE_V2, strict=True):
            others = [_Split(planes // 2) for _ in range(blocks - 1)]
            self.add_module(name, nn.Sequential(_Halving(inputs, planes // 2), *others))
            inputs = planes
        self.head = nn.Sequential(*_convolution(inputs, SHUFFLE_V2_HEAD, 1), nn.ReLU(inplace=True))
        self.linear = Classifier(SHUFFLE_V2_HEAD, classes)


class _Halving(nn.Module):
    """Two paths of the whole input, each of which halves the image."""

    def __init__(self, inputs: int, half: int) -> None:
        super().__init__()
        self.left = nn.Sequential(
            *_convolution(inputs, inputs, 3, stride=2, groups=inputs), *_convolution(inputs, half, 1)
        )
        self.right = _path(inputs, half, stride=2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        before = torch.cat([self.left(x), self.right(x)], dim=1)
        return before, shuffled(before.relu(), 2)


class _Split(nn.Module):
    """One half of the channels as it is, and a path of the other."""

    def __init__(self, half: int) -> None:
        super().__init__()
        self.path = _path(half, half, stride=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        kept, changed = x.chunk(2, dim=1)
        y = self.path(changed)
        # The half that is kept went through a ReLU already.
        return torch.cat([kept, y], dim=1), shuffled(torch.cat([kept, y.relu()], dim=1), 2)


def _path(inputs: int, half: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        *_convolution(inputs, half, 1),
        nn.ReLU(inplace=True),
        *_convolution(half, half, 3, stride=stride, groups=half),
        *_convolution(half, half, 1),
    )


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> Sequence[nn.Module]:
    """A convolution without biases, and its normalisation."""
    return (
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
        BatchNorm(outputs),
    )
