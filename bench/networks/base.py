"""What a network declares, without torch; its modules are in ``bench.networks.modules``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from bench.component import Component
from bench.errors import RecipeError

if TYPE_CHECKING:
    from torch import nn

# Channels and side of feature maps, by name.
Features = Mapping[str, tuple[int, int]]
# Where initial weights come from; see bench.networks.initial.
Initial = Literal["he_fan_out", "he_all", "framework"]


@dataclass(frozen=True)
class Network(Component):
    """An architecture with its parameters."""

    # Operators as PyTorch's tracer names them, such as "aten::gelu", that have no multiply-add of a convolution or a
    # linear layer. Those of the networks here are known already.
    free_operators: ClassVar[tuple[str, ...]] = ()
    # Whether it has an answer for each pixel, logits (N, classes, H, W), and not one for the image.
    dense: ClassVar[bool] = False

    def build(self, classes: int, channels: int, size: int) -> "nn.Module":
        """A module that maps images (N, channels, size, size), already normalised, to an Output.

        Its weights are not those of a run before :func:`bench.networks.initial.initialise`. Torch is imported here.
        """
        raise NotImplementedError

    def features(self, size: int) -> Features:
        """The feature maps of images of ``size`` that methods may compare; none where that is not known."""
        return {}

    def operator_macs(self) -> Mapping[str, Callable[[Any, Any], Any]]:
        """How fvcore is to count operators that it does not know: by name, from inputs and outputs to multiply-adds."""
        return {}


def shape_of(features: Features, name: str, whose: str) -> tuple[int, int]:
    """Channels and side of one feature map; RecipeError where the network gives none of that name."""
    if name not in features:
        known = ", ".join(features) or "none"
        raise RecipeError(f"the {whose}'s network gives no feature map {name!r}; known: {known}")
    return features[name]
