"""Small networks for small images: LeNet-5 and its two halves, and the plain ones of Zeng's report."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from bench.errors import RecipeError
from bench.networks.base import Network
from bench.schema import PositiveInt

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class LeNet5(Network):
    """LeNet-5 (LeCun et al., 1998) for images of 28 or 32 pixels; ``width`` is whole, or one of two halves."""

    width: Literal["full", "half", "half_convolutions"]

    name: ClassVar[str] = "lenet5"

    def build(self, classes: int, channels: int, size: int) -> "nn.Module":
        """The module."""
        from bench.networks.modules.lenet import LeNet5Module

        return LeNet5Module(self.width, classes, channels, size)


@dataclass(frozen=True)
class CNN(Network):
    """Two convolutions, a hidden layer and a classifier (Zeng's report, figure 1)."""

    name: ClassVar[str] = "cnn"

    def build(self, classes: int, channels: int, size: int) -> "nn.Module":
        """The module."""
        from bench.networks.modules.plain import CNNModule

        return CNNModule(classes, channels, size)


@dataclass(frozen=True)
class MLP(Network):
    """One hidden layer of so many units (Zeng's report, figure 4)."""

    hidden: PositiveInt

    name: ClassVar[str] = "mlp"

    def check(self) -> None:
        """A million units of an image of 32 x 32 pixels have 12 GB of weights."""
        if self.hidden > 1_000_000:
            raise RecipeError(f"hidden: at most 1,000,000 units, got {self.hidden}")

    def build(self, classes: int, channels: int, size: int) -> "nn.Module":
        """The module."""
        from bench.networks.modules.plain import MLPModule

        return MLPModule(self.hidden, classes, channels, size)
