"""A method of features, as an example: relational knowledge distillation (Park et al., arXiv 1904.05068)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench.methods.base import Batch, Method, Needs, Outputs
from bench.methods.losses import cross_entropy, full
from bench.schema import NonNegative

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class RKD(Method):
    """L = CE(y, p) + λ_D Huber(ψ_D(t), ψ_D(s)) + λ_A Huber(ψ_A(t), ψ_A(s)) on the pooled features of a batch.

    ψ_D are the distances between its images, divided by their mean; ψ_A the cosines of the angles of its triplets.
    """

    distance: NonNegative = 25.0
    angle: NonNegative = 50.0

    name: ClassVar[str] = "own_rkd"
    needs: ClassVar[Needs] = Needs(teacher="features")

    def loss(self, k: int, batch: Batch, outputs: Outputs) -> "dict[str, Tensor]":
        """``ce``, ``distance`` and ``angle``, each already multiplied by its weight."""
        from torch.nn.functional import smooth_l1_loss

        own, other = (full(output.features["pool"]) for output in (outputs.students[k], outputs.teachers[0]))
        return {
            "ce": cross_entropy(outputs.students[k].logits, batch.labels),
            "distance": self.distance * smooth_l1_loss(distances(own), distances(other)),
            "angle": self.angle * smooth_l1_loss(cosines(own), cosines(other)),
        }


def distances(features: "Tensor") -> "Tensor":
    """(N, N) Euclidean distances between features (N, D), divided by the mean of those between two images."""
    import torch

    n = len(features)
    squares = (features[:, None] - features[None]).square().sum(2)
    between = squares.clamp(min=1e-12).sqrt() * (1 - torch.eye(n, dtype=features.dtype, device=features.device))
    return between / (between.sum() / (n * (n - 1))).clamp(min=1e-12)


def cosines(features: "Tensor") -> "Tensor":
    """(N, N, N) cosines of the angles at each image between two others, of features (N, D)."""
    from torch.nn.functional import normalize

    directions = normalize(features[None] - features[:, None], dim=2)
    return directions @ directions.transpose(1, 2)
