"""Similarity-preserving distillation (Tung and Mori, arXiv 1907.09682, eq. 1 to 4)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench.methods.base import Batch, Knowledge, Method, Needs, Outputs
from bench.methods.features import compare_stages, pairs_of_stages
from bench.methods.losses import cross_entropy
from bench.networks.base import Features
from bench.schema import NonNegative

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class SP(Method):
    """L = CE(y, p) + γ ||G(student) − G(teacher)||² / N², of the last stage.

    G (N, N) are the products of the images' activations, each row divided by its Euclidean norm; ``weight`` is γ.
    """

    weight: NonNegative

    name: ClassVar[str] = "sp"
    needs: ClassVar[Needs] = Needs(teacher="features")
    knowledge: ClassVar[Knowledge | None] = Knowledge("relations of images", "intermediate layers")

    def compare(self, student: Features, teacher: Features) -> None:
        """Networks with stages; shapes may differ."""
        compare_stages(student, teacher)

    def loss(self, k: int, batch: Batch, outputs: Outputs) -> "dict[str, Tensor]":
        """``ce`` and ``sp``, the second already multiplied by γ."""
        student = outputs.students[k]
        own, other = pairs_of_stages(student, outputs.teachers[0])[-1]
        return {
            "ce": cross_entropy(student.logits, batch.labels),
            "sp": self.weight * (similarity(own) - similarity(other)).square().mean(),
        }


def similarity(feature: "Tensor") -> "Tensor":
    """Products between the images of a feature (N, C, h, w), (N, N), each row of length 1."""
    from torch.nn.functional import normalize

    flat = feature.flatten(1)
    return normalize(flat @ flat.T, dim=1)
