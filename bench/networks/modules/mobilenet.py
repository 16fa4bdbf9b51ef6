"""MobileNetV2 (Sandler et al., arXiv 1801.04381): inverted residuals with linear bottlenecks."""

from collections.abc import Sequence

from torch import Tensor, nn

from bench.networks.mobile import GROUPS, STAGES
from bench.networks.modules.base import BatchNorm, Classifier, NetworkModule, Output

EXPANSION, HEAD = 6, 1280


class MobileNetV2Module(NetworkModule):
    """Features: ``stem``, ``stage1`` to ``stage4`` (the groups of 24, 32, 96 and 320 channels) and ``pool``.

    No ReLU follows a group, so that ``stage1.before`` is ``stage1`` itself, likewise of the others.

    Args:
        planes: channels of the stem and of each group.
        classes: number of classes.
        channels: of the images.
    """

    def __init__(self, planes: Sequence[int], classes: int, channels: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(*_convolution(channels, planes[0], 3, stride=2), nn.ReLU(inplace=True))
        self.groups = nn.ModuleList()
        for i, (_, blocks, stride) in enumerate(GROUPS):
            own = [
                _Block(planes[i] if k == 0 else planes[i + 1], planes[i + 1], 1 if k else stride, EXPANSION if i else 1)
                for k in range(blocks)
            ]
            self.groups.append(nn.Sequential(*own))
        self.head = nn.Sequential(*_convolution(planes[-1], HEAD, 1), nn.ReLU(inplace=True))
        self.linear = Classifier(HEAD, classes)

    def forward(self, x: Tensor) -> Output:
        """Map images (N, channels, H, W) to logits (N, classes) and the named features."""
        x = self.stem(x)
        features = {"stem": x}
        for i, group in enumerate(self.groups):
            x = group(x)
            if i in STAGES:
                name = f"stage{STAGES.index(i) + 1}"
                features |= {f"{name}.before": x, name: x}
        # In the type of the last layer, under autocast too: a mean that was rounded would round the logits.
        features["pool"] = self.head(x).mean((2, 3), dtype=self.linear.weight.dtype)
        return Output(self.linear(features["pool"]), features)


class _Block(nn.Module):
    """Widen, convolve each channel by itself, narrow; added to the input where it has the same shape."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = expansion * inputs
        self.path = nn.Sequential(
            *_convolution(inputs, inner, 1),
            nn.ReLU(inplace=True),
            *_convolution(inner, inner, 3, stride=stride, groups=inner),
            nn.ReLU(inplace=True),
            *_convolution(inner, outputs, 1),
        )
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.path(x)
        return x + y if self.adds else y


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """A convolution without biases, and its normalisation."""
    return [
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
        BatchNorm(outputs),
    ]
