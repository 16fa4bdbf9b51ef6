"""Correlation congruence (Peng et al., arXiv 1904.01802), in the form that its authors gave to CRD's benchmark."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench.methods.base import Batch, Knowledge, Method, Needs, Outputs, Setup
from bench.methods.features import compare_pools, pair_of_pools
from bench.methods.losses import cross_entropy
from bench.networks.base import Features, Initial
from bench.schema import NonNegative, PositiveInt

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class CC(Method):
    """L = CE(y, p) + β mean_n Σ_d δ_nd δ_(n+1)d, where δ = |s − t| (N, d).

    s and t are linear embeddings of both networks' features after the global mean; both are trained. The mean is over
    the N − 1 neighbours in the batch. The paper's own eq. 4 to 7 compare kernels between all images of the batch.

    Args:
        weight: β.
        dim: of the embeddings, d.
    """

    weight: NonNegative
    dim: PositiveInt = 128

    name: ClassVar[str] = "cc"
    needs: ClassVar[Needs] = Needs(teacher="features")
    knowledge: ClassVar[Knowledge | None] = Knowledge("relations of images", "penultimate layer")
    initial: ClassVar[Initial | None] = "framework"

    def compare(self, student: Features, teacher: Features) -> None:
        """Both give the features after their global mean."""
        compare_pools(student, teacher)

    def parts(self, setup: Setup) -> "nn.Module":
        """The embeddings of the student and of the teacher."""
        from torch import nn

        parts = nn.Module()
        widths = [setup.shapes(network)["pool"][0] for network in (setup.students[0], setup.teachers[0])]
        parts.embed = nn.ModuleList(nn.Linear(width, self.dim) for width in widths)
        return parts

    def loss(self, k: int, batch: Batch, outputs: Outputs) -> "dict[str, Tensor]":
        """``ce`` and ``cc``, the second already multiplied by β."""
        student = outputs.students[k]
        pools = pair_of_pools(student, outputs.teachers[0])
        own, other = (embed(pool) for embed, pool in zip(outputs.parts.embed, pools, strict=True))
        delta = (own - other).abs()
        return {
            "ce": cross_entropy(student.logits, batch.labels),
            "cc": self.weight * (delta[:-1] * delta[1:]).sum(dim=1).mean(),
        }
