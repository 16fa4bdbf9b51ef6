"""The CIFAR ResNet of He et al., Deep Residual Learning for Image Recognition, CVPR 2016, section 4.2.

A 3x3 stem, three stages of n residual blocks (16, 32 and 64 planes; the second and third halve the image), a
global mean and a linear layer. Post-activation: the ReLU follows the sum. Basic blocks have two 3x3
convolutions, so the depth is 6n+2. Bottleneck blocks are 1x1, 3x3 (with the stride), 1x1 to four times the
planes, so the depth is 9n+2; the network that ONE's code (Lan et al., NeurIPS 2018) calls ResNet-110 is the
bottleneck one of depth 164.
"""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn.functional import pad

from bench.networks.modules.base import BatchNorm, Classifier, NetworkModule, Output
from bench.networks.resnet import EXPANSION, Block, ResNet, Shortcut


class ResNetModule(NetworkModule):
    """Features: ``stem``, ``stage1``, ``stage2``, ``stage3`` (each after its last ReLU) and ``pool``.

    Inside a stage also ``stage1.first`` (its first convolution, after normalisation and ReLU) and ``stage1.middle``
    (its middle block, of an even number the earlier one); likewise of the other stages.

    Args:
        net: which one.
        classes: number of classes.
        channels: of the images.
    """

    def __init__(self, net: ResNet, classes: int, channels: int) -> None:
        super().__init__()
        blocks, planes, outputs, block, shortcut = net.blocks, net.planes, net.outputs, net.block, net.shortcut
        self.stem = nn.Sequential(_conv(channels, planes[0], 3), BatchNorm(planes[0]), nn.ReLU(inplace=True))
        self.stage1 = _stage(planes[0], planes[0], blocks, 1, block, shortcut)
        self.stage2 = _stage(outputs[0], planes[1], blocks, 2, block, shortcut)
        self.stage3 = _stage(outputs[1], planes[2], blocks, 2, block, shortcut)
        self.linear = Classifier(outputs[2], classes)

    def forward(self, x: Tensor) -> Output:
        """Map images (N, channels, H, W) to logits (N, classes) and the named features."""
        ((convolution, norm),) = _layers(self.stem)
        x = norm(convolution(x), relu=True)
        features = {"stem": x}
        for name in ("stage1", "stage2", "stage3"):
            inside, x = getattr(self, name)(x)
            features |= {f"{name}.{place}": feature for place, feature in inside.items()}
            features[name] = x
        # In the type of the last layer, under autocast too: a mean that was rounded would round the logits.
        features["pool"] = x.mean((2, 3), dtype=self.linear.weight.dtype)
        return Output(self.linear(features["pool"]), features)


class _Residual(nn.Module):
    """What the first convolution of the path gives after its ReLU, and ReLU(path(x) + shortcut(x))."""

    def __init__(self, path: nn.Sequential, shortcut: nn.Module) -> None:
        super().__init__()
        self.path = path
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        *inner, (convolution, norm) = _layers(self.path)
        y, given = x, []
        for own_convolution, own_norm in inner:
            y = own_norm(own_convolution(y), relu=True)
            given.append(y)
        return given[0], norm(convolution(y), self.shortcut(x), relu=True)


def _layers(path: nn.Sequential) -> list[tuple[nn.Module, nn.Module]]:
    """Each convolution with its normalisation, which is told of the ReLU: the third layer only keeps its number."""
    layers = [*path]
    return [*zip(layers[::3], layers[1::3], strict=True)]


class _Stage(nn.Sequential):
    """Residual blocks: named features from inside, and what the last block gives."""

    def forward(self, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        inside: dict[str, Tensor] = {}
        for i, block in enumerate(self):
            first, x = block(x)
            inside.setdefault("first", first)
            if i == (len(self) - 1) // 2:
                inside["middle"] = x
        return inside, x


class _SubsampleAndPad(nn.Module):
    """Option A: every ``stride``-th pixel, then ``extra`` channels of zeros after the others; no parameters."""

    def __init__(self, extra: int, stride: int) -> None:
        super().__init__()
        self.extra = extra
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.extra))


def _option_a(inputs: int, outputs: int, stride: int) -> nn.Module:
    return _SubsampleAndPad(outputs - inputs, stride)


def _option_b(inputs: int, outputs: int, stride: int) -> nn.Module:
    return nn.Sequential(_conv(inputs, outputs, 1, stride), BatchNorm(outputs))


def _basic(inputs: int, planes: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        _conv(inputs, planes, 3, stride),
        BatchNorm(planes),
        nn.ReLU(inplace=True),
        _conv(planes, planes, 3),
        BatchNorm(planes),
    )


def _bottleneck(inputs: int, planes: int, stride: int) -> nn.Sequential:
    outputs = EXPANSION["bottleneck"] * planes
    return nn.Sequential(
        _conv(inputs, planes, 1),
        BatchNorm(planes),
        nn.ReLU(inplace=True),
        _conv(planes, planes, 3, stride),
        BatchNorm(planes),
        nn.ReLU(inplace=True),
        _conv(planes, outputs, 1),
        BatchNorm(outputs),
    )


_PATHS: dict[Block, Callable[[int, int, int], nn.Sequential]] = {"basic": _basic, "bottleneck": _bottleneck}
_SHORTCUTS: dict[Shortcut, Callable[[int, int, int], nn.Module]] = {"A": _option_a, "B": _option_b}


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)


def _stage(inputs: int, planes: int, blocks: int, stride: int, block: Block, shortcut: Shortcut) -> _Stage:
    outputs = EXPANSION[block] * planes
    changes = stride != 1 or inputs != outputs
    first = _Residual(
        _PATHS[block](inputs, planes, stride),
        _SHORTCUTS[shortcut](inputs, outputs, stride) if changes else nn.Identity(),
    )
    others = [_Residual(_PATHS[block](outputs, planes, 1), nn.Identity()) for _ in range(blocks - 1)]
    return _Stage(first, *others)
