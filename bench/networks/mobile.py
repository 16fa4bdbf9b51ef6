"""Small networks for small devices, for images of 32 pixels; arithmetic without torch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench.errors import RecipeError
from bench.networks.base import Features, Network
from bench.schema import Positive

if TYPE_CHECKING:
    from torch import nn

# Of each group of MobileNetV2's blocks: channels, blocks, and the stride of the first one.
GROUPS = ((16, 1, 1), (24, 2, 1), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1))
# The groups whose outputs are called stages.
STAGES = (1, 2, 4, 6)
# Channels and blocks of ShuffleNets' three stages; a block that halves the image comes first in each.
SHUFFLE_V1 = ((240, 4), (480, 8), (960, 4))
SHUFFLE_V2 = ((116, 4), (232, 8), (464, 4))
SHUFFLE_STEM, SHUFFLE_V2_HEAD = 24, 1024


@dataclass(frozen=True)
class MobileNetV2(Network):
    """Sandler et al. (arXiv 1801.04381, table 2), as CRD's code has it (Tian et al., arXiv 1910.10699).

    The stem halves the image and the second group does not; ReLU instead of ReLU6; no dropout. ``width`` multiplies
    the channels of the stem and of the groups; CRD's "MobileNetV2" has half of them.
    """

    width: Positive

    name: ClassVar[str] = "mobilenet_v2"

    def check(self) -> None:
        """The width gives whole numbers of channels."""
        if not all((self.width * planes).is_integer() for planes in (32, *(group[0] for group in GROUPS))):
            raise RecipeError(f"width {self.width}: the channels must be whole numbers; try a multiple of 1/8")

    @property
    def planes(self) -> tuple[int, ...]:
        """Channels of the stem and of each group."""
        return tuple(int(self.width * planes) for planes in (32, *(group[0] for group in GROUPS)))

    def build(self, classes: int, channels: int, size: int) -> "nn.Module":
        """The module; its global mean makes it independent of ``size``."""
        from bench.networks.modules.mobilenet import MobileNetV2Module

        return MobileNetV2Module(self.planes, classes, channels)

    def features(self, size: int) -> Features:
        """Every feature, as the module names it."""
        size = -(-size // 2)
        features = {"stem": (self.planes[0], size)}
        for i, (_, _, stride) in enumerate(GROUPS):
            size = -(-size // stride)
            if i in STAGES:
                name, shape = f"stage{STAGES.index(i) + 1}", (self.planes[i + 1], size)
                features |= {f"{name}.before": shape, name: shape}
        return features | {"pool": (1280, 1)}


@dataclass(frozen=True)
class ShuffleNetV1(Network):
    """Zhang et al. (arXiv 1707.01083, table 1) with 3 groups, as CRD's code has it: a 1x1 stem without stride."""

    name: ClassVar[str] = "shufflenet_v1"

    def build(self, classes: int, channels: int, size: int) -> "nn.Module":
        """The module; its global mean makes it independent of ``size``."""
        from bench.networks.modules.shufflenet import ShuffleNetV1Module

        return ShuffleNetV1Module(classes, channels)

    def features(self, size: int) -> Features:
        """Every feature, as the module names it."""
        return _shuffled([planes for planes, _ in SHUFFLE_V1], size) | {"pool": (SHUFFLE_V1[-1][0], 1)}


@dataclass(frozen=True)
class ShuffleNetV2(Network):
    """Ma et al. (arXiv 1807.11164, table 5) of width 1, as CRD's code has it: a 1x1 stem without stride."""

    name: ClassVar[str] = "shufflenet_v2"

    def build(self, classes: int, channels: int, size: int) -> "nn.Module":
        """The module; its global mean makes it independent of ``size``."""
        from bench.networks.modules.shufflenet import ShuffleNetV2Module

        return ShuffleNetV2Module(classes, channels)

    def features(self, size: int) -> Features:
        """Every feature, as the module names it."""
        return _shuffled([planes for planes, _ in SHUFFLE_V2], size) | {"pool": (SHUFFLE_V2_HEAD, 1)}


def _shuffled(stages: list[int], size: int) -> dict[str, tuple[int, int]]:
    features = {"stem": (SHUFFLE_STEM, size)}
    for i, planes in enumerate(stages, 1):
        size = -(-size // 2)
        features |= {f"stage{i}.before": (planes, size), f"stage{i}": (planes, size)}
    return features
