"""A network with group normalisation, and torchvision's MobileNetV2 for small images."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench.networks.base import Features, Network
from bench.schema import Positive, PositiveInt

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class GroupNormNet(Network):
    """Three convolutions, each halving the image, with group normalisation and GELU; a layer norm before the end."""

    width: PositiveInt = 16

    name: ClassVar[str] = "groupnorm"
    free_operators: ClassVar[tuple[str, ...]] = ("aten::gelu", "aten::group_norm", "aten::layer_norm")

    def build(self, classes: int, channels: int, size: int) -> "nn.Module":
        """The module."""
        from ._modules import GroupNormModule

        return GroupNormModule(self.width, classes, channels)

    def features(self, size: int) -> Features:
        """The output of each convolution."""
        return {f"conv{i + 1}": (self.width * 2**i, -(-size // 2 ** (i + 1))) for i in range(3)}


@dataclass(frozen=True)
class MobileNetV2(Network):
    """Sandler et al., arXiv 1801.04381, as torchvision has it, with strides for 32x32 images and without dropout."""

    width: Positive = 1.0

    name: ClassVar[str] = "torchvision_mobilenet_v2"
    free_operators: ClassVar[tuple[str, ...]] = ("aten::hardtanh_", "aten::dropout")

    def build(self, classes: int, channels: int, size: int) -> "nn.Module":
        """The module."""
        from ._modules import mobilenet

        return mobilenet(self.width, classes)
