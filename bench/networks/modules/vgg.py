"""VGG for images of 32 pixels, with batch normalisation."""

from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from bench.networks.modules.base import BatchNorm, Classifier, NetworkModule, Output


class VGGModule(NetworkModule):
    """Features: ``stem`` (the first group), ``stage1`` to ``stage4`` (the others) and ``pool``.

    Each group is taken after its last ReLU and before the maxima that follow it; ``stage1.before`` is the same before
    that ReLU, likewise of the other stages.

    Args:
        convolutions: of each group.
        planes: channels of each group.
        classes: number of classes.
        channels: of the images.
    """

    def __init__(self, convolutions: int, planes: Sequence[int], classes: int, channels: int) -> None:
        super().__init__()
        inputs = [channels, *planes]
        groups = [nn.Sequential(*_group(a, b, convolutions)) for a, b in zip(inputs, planes, strict=False)]
        self.stem, self.stages = groups[0], [f"stage{i}" for i in range(1, len(groups))]
        for name, group in zip(self.stages, groups[1:], strict=True):
            self.add_module(name, group)
        self.shrink = nn.MaxPool2d(2)
        self.linear = Classifier(planes[-1], classes)

    def forward(self, x: Tensor) -> Output:
        """Map images (N, channels, H, W) to logits (N, classes) and the named features."""
        x = self.stem(x).relu_()
        features = {"stem": x}
        for i, name in enumerate(self.stages):
            before = getattr(self, name)(self.shrink(x) if i < 3 else x)
            x = before.relu()
            features |= {f"{name}.before": before, name: x}
        # In the type of the last layer, under autocast too: a mean that was rounded would round the logits.
        features["pool"] = x.mean((2, 3), dtype=self.linear.weight.dtype)
        return Output(self.linear(features["pool"]), features)


def _group(inputs: int, planes: int, convolutions: int) -> Iterator[nn.Module]:
    """Convolutions with biases and their normalisations, with a ReLU between two of them."""
    for i in range(convolutions):
        if i:
            yield nn.ReLU(inplace=True)
        yield nn.Conv2d(planes if i else inputs, planes, 3, padding=1)
        yield BatchNorm(planes)
