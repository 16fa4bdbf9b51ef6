"""Wide ResNets for small images; arithmetic without torch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench.errors import RecipeError
from bench.networks.base import Features, Network
from bench.schema import PositiveInt

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class WRN(Network):
    """WRN-depth-widen (Zagoruyko and Komodakis, Wide Residual Networks, arXiv 1605.07146), without dropout.

    The depth is 6n+4: three stages of n blocks of two convolutions, of 16, 32 and 64 channels times ``widen``.
    """

    depth: PositiveInt
    widen: PositiveInt

    name: ClassVar[str] = "wrn"

    def check(self) -> None:
        """There is such a depth."""
        blocks, rest = divmod(self.depth - 4, 6)
        if rest or blocks < 1:
            nearest = [6 * n + 4 for n in (blocks, blocks + 1) if n >= 1] or [10]
            raise RecipeError(
                f"depth {self.depth}: a Wide ResNet has a depth of 6n+4; the nearest: {' or '.join(map(str, nearest))}"
            )

    @property
    def planes(self) -> tuple[int, ...]:
        """Channels of each stage."""
        return tuple(self.widen * p for p in (16, 32, 64))

    def build(self, classes: int, channels: int, size: int) -> "nn.Module":
        """The module; its global mean makes it independent of ``size``."""
        from bench.networks.modules.wrn import WRNModule

        return WRNModule((self.depth - 4) // 6, self.planes, classes, channels)

    def features(self, size: int) -> Features:
        """Every feature, as the module names it."""
        features = {"stem": (16, size)}
        for i, planes in enumerate(self.planes):
            size = -(-size // 2) if i else size
            features |= {f"stage{i + 1}{place}": (planes, size) for place in (".middle", ".before", "")}
        return features | {"pool": (self.planes[-1], 1)}
