"""Neuron selectivity transfer (Huang and Wang, arXiv 1707.01219, eq. 5 with the polynomial kernel of eq. 9)."""

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
class NST(Method):
    """L = CE(y, p) + β Σ_i mean (K(t, t) + K(s, s) − 2 K(s, t)), over the stages i; K(a, b) = (aᵀ b)².

    The kernel is between the channels' activations, each of length 1 over the positions; the mean is over images and
    pairs of channels. ``weight`` is β (half of it is the paper's λ).
    """

    weight: NonNegative

    name: ClassVar[str] = "nst"
    needs: ClassVar[Needs] = Needs(teacher="features")
    knowledge: ClassVar[Knowledge | None] = Knowledge("distributions of features", "intermediate layers")

    def compare(self, student: Features, teacher: Features) -> None:
        """Stages are compared one by one."""
        compare_stages(student, teacher)

    def loss(self, k: int, batch: Batch, outputs: Outputs) -> "dict[str, Tensor]":
        """``ce`` and ``nst``, the second already multiplied by β."""
        import torch
        from torch.nn.functional import normalize

        student, discrepancies = outputs.students[k], []
        for pair in pairs_of_stages(student, outputs.teachers[0]):
            own, other = (normalize(f.flatten(2), dim=2) for f in of_one_size(*pair))
            discrepancies.append(kernel(other, other) + kernel(own, own) - 2 * kernel(own, other))
        return {
            "ce": cross_entropy(student.logits, batch.labels),
            "nst": self.weight * torch.stack(discrepancies).sum(),
        }


def kernel(one: "Tensor", other: "Tensor") -> "Tensor":
    """The mean of (aᵀ b)² over the channels a and b of (N, C, P) and (N, D, P), and over the images."""
    return (one @ other.transpose(1, 2)).square().mean()
