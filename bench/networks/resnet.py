"""The CIFAR ResNet: which parameters make one, and the feature maps that it gives; arithmetic without torch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from bench.errors import RecipeError
from bench.networks.base import Features, Network
from bench.schema import Positive, PositiveInt

if TYPE_CHECKING:
    from torch import nn

Block = Literal["basic", "bottleneck"]
Shortcut = Literal["A", "B"]

CONVOLUTIONS: dict[Block, int] = {"basic": 2, "bottleneck": 3}
# Published: 1,202 layers (He et al.) and 20 times the width (Zagoruyko and Komodakis).
DEEPEST, WIDEST = 10_000, 100
EXPANSION: dict[Block, int] = {"basic": 1, "bottleneck": 4}


@dataclass(frozen=True)
class ResNet(Network):
    """He et al., Deep Residual Learning for Image Recognition, CVPR 2016, section 4.2.

    Basic blocks make a depth of 6n+2, bottleneck blocks one of 9n+2. ``width`` multiplies every number of planes.
    """

    depth: PositiveInt
    block: Block
    shortcut: Shortcut
    width: Positive

    name: ClassVar[str] = "resnet"
    # 2: the mean and the last layer are in float32 under autocast.
    version: ClassVar[int] = 2

    def check(self) -> None:
        """There is such a depth for this block, and the width gives whole numbers of planes."""
        if self.depth > DEEPEST or self.width > WIDEST:
            raise RecipeError(
                f"a depth of at most {DEEPEST:,} and a width of at most {WIDEST}; none was ever trained so"
            )
        _ = self.blocks, self.planes

    @property
    def blocks(self) -> int:
        """Residual blocks of each of the three stages."""
        layers = 3 * CONVOLUTIONS[self.block]
        blocks, rest = divmod(self.depth - 2, layers)
        if blocks >= 1 and rest == 0:
            return blocks
        nearest = [layers * n + 2 for n in (blocks, blocks + 1) if n >= 1] or [layers + 2]
        raise RecipeError(
            f"depth {self.depth}: a ResNet of {self.block} blocks has a depth of {layers}n+2; the nearest: "
            + " or ".join(str(n) for n in nearest)
        )

    @property
    def planes(self) -> tuple[int, ...]:
        """Planes of each stage, before the bottleneck's expansion."""
        planes = [self.width * p for p in (16, 32, 64)]
        if self.width <= 0 or not all(p.is_integer() for p in map(float, planes)):
            raise RecipeError(
                f"width {self.width}: 16, 32 and 64 times the width must be whole numbers; try a multiple of 1/16"
            )
        return tuple(int(p) for p in planes)

    @property
    def outputs(self) -> tuple[int, ...]:
        """Channels that each stage gives."""
        return tuple(EXPANSION[self.block] * p for p in self.planes)

    def build(self, classes: int, channels: int, size: int) -> "nn.Module":
        """The module; its global mean makes it independent of ``size``."""
        from bench.networks.modules.resnet import ResNetModule

        return ResNetModule(self, classes, channels)

    def features(self, size: int) -> Features:
        """Every feature map before the global mean, as the module names it."""
        features = {"stem": (self.planes[0], size)}
        for i, (inner, output) in enumerate(zip(self.planes, self.outputs, strict=True)):
            before, size = size, -(-size // 2) if i else size
            # A bottleneck's stride is in its second convolution.
            first = (inner, before if self.block == "bottleneck" else size)
            last = (output, size)
            features |= {f"stage{i + 1}.first": first, f"stage{i + 1}.middle": last, f"stage{i + 1}": last}
        return features
