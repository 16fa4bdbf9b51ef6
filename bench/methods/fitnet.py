"""FitNets' hint (Romero et al., arXiv 1412.6550, eq. 3) beside the labels, in one stage, as CRD's benchmark has it.

For the two stages of the paper see :mod:`bench.methods.hint`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench.methods.base import Batch, Method, Needs, Outputs, Setup
from bench.methods.features import compare_sizes
from bench.methods.losses import cross_entropy, full
from bench.networks.base import Features, Initial
from bench.schema import NonNegative

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class FitNet(Method):
    """L = CE(y, p) + β mean (r(s) − t)², of one feature of both networks.

    r is a convolution to the shape of the teacher's feature, its batch normalisation and a ReLU; the mean is over
    images, channels and positions.

    Args:
        weight: β.
        layer: the name of the feature, (N, C, h, w) of the student and (N, D, H, W) of the teacher.
    """

    weight: NonNegative
    layer: str

    name: ClassVar[str] = "fitnet"
    needs: ClassVar[Needs] = Needs(teacher="features")
    initial: ClassVar[Initial | None] = "framework"

    def compare(self, student: Features, teacher: Features) -> None:
        """A convolution leads from one to the other."""
        compare_sizes(student, teacher, [self.layer])

    def parts(self, setup: Setup) -> "nn.Module":
        """The regressor."""
        from torch import nn

        from bench.methods.modules import regression

        own, other = (setup.shapes(network)[self.layer] for network in (setup.students[0], setup.teachers[0]))
        parts = nn.Module()
        parts.regressor = regression(own, other).append(nn.ReLU())
        return parts

    def loss(self, k: int, batch: Batch, outputs: Outputs) -> "dict[str, Tensor]":
        """``ce`` and ``hint``, the second already multiplied by β."""
        student, teacher = outputs.students[k], outputs.teachers[0]
        regressed = outputs.parts.regressor(full(student.features[self.layer]))
        return {
            "ce": cross_entropy(student.logits, batch.labels),
            "hint": self.weight * (regressed - full(teacher.features[self.layer])).square().mean(),
        }
