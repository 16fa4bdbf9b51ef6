"""The hints of FitNets (Romero et al., arXiv 1412.6550, eq. 3), the first of its two stages."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bench.methods.base import Method, Outputs, full


class Hint(Method):
    """L = Σ ½ ||hint − r(guided)||², summed over the channels, mean over batch and positions as in the paper's code.

    r is a convolution to the teacher's channels and the ReLU that the teacher's layer ends with. The side of its kernel
    is that of the guided layer minus that of the hint plus one: 1, for only layers of the same size are compared here.
    The student's layers after the guided one learn nothing.

    Args:
        classes: number of classes.
        hint: names of features (N, D, h, w) of the teacher; the paper has one.
        guided: the feature (N, C, h, w) of the student that learns each of them.
        channels: (C, D) of each pair.
    """

    def __init__(
        self, classes: int, hint: Sequence[str], guided: Sequence[str], channels: Sequence[Sequence[int]]
    ) -> None:
        super().__init__(classes)
        self.pairs = [*zip(hint, guided, strict=True)]
        self.regressors = nn.ModuleList(nn.Sequential(nn.Conv2d(own, other, 1), nn.ReLU()) for own, other in channels)

    def loss(self, k: int, labels: Tensor, outputs: Outputs) -> dict[str, Tensor]:
        """``hint``, the sum over the pairs."""
        student, teacher = outputs.students[k].features, outputs.teachers[0].features
        errors = [
            full(teacher[hint]) - regressor(full(student[guided]))
            for regressor, (hint, guided) in zip(self.regressors, self.pairs, strict=True)
        ]
        return {"hint": torch.stack([error.square().sum(dim=1).mean() / 2 for error in errors]).sum()}
