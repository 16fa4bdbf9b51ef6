"""Attention transfer (Zagoruyko and Komodakis, arXiv 1612.03928, eq. 2)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench.methods.base import Batch, Knowledge, Method, Needs, Outputs
from bench.methods.features import compare_stages, of_one_size, pairs_of_stages
from bench.methods.losses import cross_entropy
from bench.networks.base import Features
from bench.schema import NonNegative

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class AT(Method):
    """L = CE(y, p) + β Σ_i mean (Q_i(student) − Q_i(teacher))², over the stages i.

    Q (N, h·w) is the mean over the channels of a stage's squared activations, divided by its Euclidean norm. The mean
    is over images and positions, as in CRD's code; ``weight`` is β.
    """

    weight: NonNegative

    name: ClassVar[str] = "at"
    needs: ClassVar[Needs] = Needs(teacher="features")
    knowledge: ClassVar[Knowledge | None] = Knowledge("attention maps", "intermediate layers")

    def compare(self, student: Features, teacher: Features) -> None:
        """Stages are compared one by one."""
        compare_stages(student, teacher)

    def loss(self, k: int, batch: Batch, outputs: Outputs) -> "dict[str, Tensor]":
        """``ce`` and ``at``, the second already multiplied by β."""
        import torch

        student = outputs.students[k]
        pairs = [of_one_size(*pair) for pair in pairs_of_stages(student, outputs.teachers[0])]
        distances = [(attention(own) - attention(other)).square().mean() for own, other in pairs]
        return {
            "ce": cross_entropy(student.logits, batch.labels),
            "at": self.weight * torch.stack(distances).sum(),
        }


def attention(feature: "Tensor") -> "Tensor":
    """Where a feature (N, C, h, w) is active, (N, h·w), each of length 1."""
    from torch.nn.functional import normalize

    return normalize(feature.square().mean(dim=1).flatten(1), dim=1)
