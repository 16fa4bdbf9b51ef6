"""VGG for images of 32 pixels; arithmetic without torch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from bench.networks.base import Features, Network

if TYPE_CHECKING:
    from torch import nn

PLANES = (64, 128, 256, 512, 512)


@dataclass(frozen=True)
class VGG(Network):
    """VGG-8 or VGG-13 with batch normalisation, as CRD's code has them (Tian et al., arXiv 1910.10699).

    Simonyan and Zisserman (arXiv 1409.1556) for 32 pixels: five groups of one or two 3x3 convolutions, maxima over
    2x2 pixels after the first three, and one linear layer after a global mean.
    """

    depth: Literal[8, 13]

    name: ClassVar[str] = "vgg"

    def build(self, classes: int, channels: int, size: int) -> "nn.Module":
        """The module; its global mean makes it independent of ``size``."""
        from bench.networks.modules.vgg import VGGModule

        return VGGModule((self.depth - 3) // 5, PLANES, classes, channels)

    def features(self, size: int) -> Features:
        """Every feature, as the module names it."""
        features = {"stem": (PLANES[0], size)}
        for i, planes in enumerate(PLANES[1:], 1):
            size = size // 2 if i <= 3 else size
            features |= {f"stage{i}.before": (planes, size), f"stage{i}": (planes, size)}
        return features | {"pool": (PLANES[-1], 1)}
