"""The hints of FitNets (Romero et al., arXiv 1412.6550, eq. 3), the first of its two stages."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench.errors import RecipeError
from bench.methods.base import Batch, Method, Needs, Outputs, Setup
from bench.methods.losses import full
from bench.networks.base import Features, shape_of
from bench.schema import PositiveInt

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Hint(Method):
    """L = Σ ½ ||hint − r(guided)||², summed over the channels, mean over batch and positions as in the paper's code.

    r is a convolution to the teacher's channels and the ReLU that the teacher's layer ends with. The side of its kernel
    is that of the guided layer minus that of the hint plus one: 1, for only layers of the same size are compared here.
    The student's layers after the guided one learn nothing.

    Args:
        hint: names of features (N, D, h, w) of the teacher; the paper has one.
        guided: the feature (N, C, h, w) of the student that learns each of them.
        channels: (C, D) of each pair.
    """

    hint: tuple[str, ...]
    guided: tuple[str, ...]
    channels: tuple[tuple[PositiveInt, ...], ...]

    name: ClassVar[str] = "hint"
    needs: ClassVar[Needs] = Needs(teacher="features")

    def check(self) -> None:
        """Every hint has a layer that it guides."""
        if not len(self.hint) == len(self.guided) == len(self.channels) > 0:
            raise RecipeError("hint, guided and channels: one entry each for every pair of layers")

    def compare(self, student: Features, teacher: Features) -> None:
        """The layers are of one size, and ``channels`` describes them."""
        for other, own, stated in zip(self.hint, self.guided, self.channels, strict=True):
            learns, teaches = shape_of(student, own, "student"), shape_of(teacher, other, "teacher")
            for whose, name, shape in (("teacher", other, teaches), ("student", own, learns)):
                if shape[1] < 2:  # one vector an image
                    raise RecipeError(f"the {whose}'s {name!r} is no feature map")
            if tuple(stated) != (learns[0], teaches[0]):
                raise RecipeError(
                    f"the channels of {own!r} and {other!r} are [{learns[0]}, {teaches[0]}], not {[*stated]}"
                )
            if learns[1] != teaches[1]:
                raise RecipeError(
                    f"{own!r} is {learns[1]} pixels wide and {other!r} {teaches[1]}; name layers of one size"
                )

    def parts(self, setup: Setup) -> "nn.Module":
        """A regressor for each pair."""
        from torch import nn

        parts = nn.Module()
        parts.regressors = nn.ModuleList(
            nn.Sequential(nn.Conv2d(own, other, 1), nn.ReLU()) for own, other in self.channels
        )
        return parts

    def loss(self, k: int, batch: Batch, outputs: Outputs) -> "dict[str, Tensor]":
        """``hint``, the sum over the pairs."""
        import torch

        student, teacher = outputs.students[k].features, outputs.teachers[0].features
        errors = [
            full(teacher[hint]) - regressor(full(student[guided]))
            for regressor, hint, guided in zip(outputs.parts.regressors, self.hint, self.guided, strict=True)
        ]
        return {"hint": torch.stack([error.square().sum(dim=1).mean() / 2 for error in errors]).sum()}
