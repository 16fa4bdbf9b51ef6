"""Relational knowledge distillation (Park et al., arXiv 1904.05068, eq. 5 to 10)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench.methods.base import Batch, Knowledge, Method, Needs, Outputs
from bench.methods.features import compare_pools, pair_of_pools
from bench.methods.losses import cross_entropy
from bench.networks.base import Features
from bench.schema import NonNegative

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class RKD(Method):
    """L = CE(y, p) + λ_D Huber(ψ_D(s), ψ_D(t)) + λ_A Huber(ψ_A(s), ψ_A(t)), of the features after the global mean.

    ψ_D are the distances between a batch's images, divided by their mean; ψ_A the cosines of the angles of its
    triplets. Huber's loss (eq. 7) is the mean over all pairs, and over all triplets, an image with itself included.

    Args:
        distance: λ_D.
        angle: λ_A.
    """

    distance: NonNegative
    angle: NonNegative

    name: ClassVar[str] = "rkd"
    needs: ClassVar[Needs] = Needs(teacher="features")
    knowledge: ClassVar[Knowledge | None] = Knowledge("relations of images", "penultimate layer")

    def compare(self, student: Features, teacher: Features) -> None:
        """Both give the features after their global mean."""
        compare_pools(student, teacher)

    def loss(self, k: int, batch: Batch, outputs: Outputs) -> "dict[str, Tensor]":
        """``ce``, ``distance`` and ``angle``, each already multiplied by its weight."""
        from torch.nn.functional import smooth_l1_loss

        student = outputs.students[k]
        own, other = pair_of_pools(student, outputs.teachers[0])
        return {
            "ce": cross_entropy(student.logits, batch.labels),
            "distance": self.distance * smooth_l1_loss(distances(own), distances(other)),
            "angle": self.angle * smooth_l1_loss(cosines(own), cosines(other)),
        }


def distances(features: "Tensor") -> "Tensor":
    """(N, N) Euclidean distances between features (N, D), divided by the mean of those between two images."""
    import torch

    n = len(features)
    squares = (features[:, None] - features[None]).square().sum(dim=2)
    # The root has no gradient at 0, where an image meets itself.
    between = squares.clamp(min=1e-12).sqrt() * (1 - torch.eye(n, dtype=features.dtype, device=features.device))
    return between / (between.sum() / (n * (n - 1)))


def cosines(features: "Tensor") -> "Tensor":
    """(N, N, N) cosines of the angles at each image between two others, of features (N, D)."""
    from torch.nn.functional import normalize

    directions = normalize(features[None] - features[:, None], dim=2)
    return directions @ directions.transpose(1, 2)
