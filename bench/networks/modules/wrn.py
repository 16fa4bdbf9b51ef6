"""Wide ResNet (Zagoruyko and Komodakis, arXiv 1605.07146): pre-activation blocks of two 3x3 convolutions."""

from collections.abc import Sequence

from torch import Tensor, nn

from bench.networks.modules.base import BatchNorm, Classifier, NetworkModule, Output


class WRNModule(NetworkModule):
    """Features: ``stem``, ``stage1``, ``stage2``, ``stage3`` and ``pool``.

    A stage gives a sum that no ReLU follows; ``stage1`` is that sum and ``stage1.before`` the same after the
    normalisation of the next block (of the last stage: after the network's last one), before its ReLU.
    ``stage1.middle`` is the sum of its middle block, of an even number the earlier one. ``stem`` is the first
    convolution alone. The mean of ``pool`` is taken after the last ReLU.

    Args:
        blocks: of each stage.
        planes: channels of each stage; all but the first halve the image.
        classes: number of classes.
        channels: of the images.
    """

    def __init__(self, blocks: int, planes: Sequence[int], classes: int, channels: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        inputs, self.stages = 16, [f"stage{i + 1}" for i in range(len(planes))]
        for i, (name, outputs) in enumerate(zip(self.stages, planes, strict=True)):
            others = [_Block(outputs, outputs, 1) for _ in range(blocks - 1)]
            self.add_module(name, nn.Sequential(_Block(inputs, outputs, 2 if i else 1), *others))
            inputs = outputs
        self.norm = BatchNorm(inputs)
        self.linear = Classifier(inputs, classes)

    def forward(self, x: Tensor) -> Output:
        """Map images (N, channels, H, W) to logits (N, classes) and the named features."""
        x = self.stem(x)
        features, last = {"stem": x}, ""
        for name in self.stages:
            blocks = getattr(self, name)
            for i, block in enumerate(blocks):
                before, x = block(x)
                if last and not i:
                    features[f"{last}.before"] = before
                if i == (len(blocks) - 1) // 2:
                    features[f"{name}.middle"] = x
            features[name], last = x, name
        before = features[f"{last}.before"] = self.norm(x)
        # In the type of the last layer, under autocast too: a mean that was rounded would round the logits.
        features["pool"] = before.relu().mean((2, 3), dtype=self.linear.weight.dtype)
        return Output(self.linear(features["pool"]), features)


class _Block(nn.Module):
    """What the first normalisation gives, and the sum of both paths.

    Where the channels change, the shortcut is a 1x1 convolution of the activated input.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.norm1 = BatchNorm(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm2 = BatchNorm(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if inputs != outputs else None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        before = self.norm1(x)
        activated = before.relu()
        y = self.conv2(self.relu(self.norm2(self.conv1(activated))))
        return before, y + (x if self.shortcut is None else self.shortcut(activated))
