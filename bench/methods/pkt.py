"""Probabilistic knowledge transfer (Passalis and Tefas, arXiv 1803.10837, eq. 3 to 8)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench.methods.base import Batch, Knowledge, Method, Needs, Outputs
from bench.methods.features import compare_pools, pair_of_pools
from bench.methods.losses import cross_entropy
from bench.networks.base import Features
from bench.schema import NonNegative

if TYPE_CHECKING:
    from torch import Tensor

EPS = 1e-7


@dataclass(frozen=True)
class PKT(Method):
    """L = CE(y, p) + β mean P(teacher) log ((P(teacher) + ε) / (P(student) + ε)), ε = 1e-7.

    P (N, N) are the cosine similarities between a batch's images, of the features after the global mean, moved to
    0 ... 1 and divided by their row's sum. The mean is over N² entries, as in the authors' code; ``weight`` is β.
    """

    weight: NonNegative

    name: ClassVar[str] = "pkt"
    needs: ClassVar[Needs] = Needs(teacher="features")
    knowledge: ClassVar[Knowledge | None] = Knowledge("relations of images", "penultimate layer")

    def compare(self, student: Features, teacher: Features) -> None:
        """Both give the features after their global mean."""
        compare_pools(student, teacher)

    def loss(self, k: int, batch: Batch, outputs: Outputs) -> "dict[str, Tensor]":
        """``ce`` and ``pkt``, the second already multiplied by β."""
        student = outputs.students[k]
        own, other = (probabilities(pool) for pool in pair_of_pools(student, outputs.teachers[0]))
        return {
            "ce": cross_entropy(student.logits, batch.labels),
            "pkt": self.weight * (other * ((other + EPS) / (own + EPS)).log()).mean(),
        }


def probabilities(features: "Tensor") -> "Tensor":
    """How near each image is to each, (N, N), of features (N, D); a row sums to 1."""
    unit = features / (features.square().sum(dim=1, keepdim=True).sqrt() + EPS)
    similar = (unit @ unit.T + 1) / 2
    return similar / similar.sum(dim=1, keepdim=True)
