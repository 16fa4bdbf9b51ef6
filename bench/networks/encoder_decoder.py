"""A small network for segmentation; arithmetic without torch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench.networks.base import Features, Network
from bench.schema import PositiveInt

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class EncoderDecoder(Network):
    """Three levels down and up again, with the finer level's features beside what comes up: a small U-Net.

    After Ronneberger et al. (arXiv 1505.04597), with two 3x3 convolutions a level and batch normalisation; ``width``
    and 2 and 4 times that are the channels of the levels. The side of an image must be a multiple of 4.
    """

    width: PositiveInt

    name: ClassVar[str] = "encoder_decoder"
    dense: ClassVar[bool] = True
    free_operators: ClassVar[tuple[str, ...]] = ("aten::upsample_nearest2d",)

    def build(self, classes: int, channels: int, size: int) -> "nn.Module":
        """The module; it is independent of ``size``."""
        from bench.networks.modules.encoder_decoder import EncoderDecoderModule

        return EncoderDecoderModule(self._planes, classes, channels)

    def features(self, size: int) -> Features:
        """Of each level downwards (``stage1`` to ``stage3``) and upwards (``up2``, ``up1``)."""
        sizes = {i: (planes, size >> i) for i, planes in enumerate(self._planes)}
        return {f"stage{i + 1}": shape for i, shape in sizes.items()} | {"up2": sizes[1], "up1": sizes[0]}

    @property
    def _planes(self) -> tuple[int, int, int]:
        return self.width, 2 * self.width, 4 * self.width
