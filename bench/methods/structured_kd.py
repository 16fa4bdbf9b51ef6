"""Structured knowledge distillation for segmentation (Liu et al., CVPR 2019, arXiv 1903.04197)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench.errors import RecipeError
from bench.methods.base import Batch, Method, Needs, Outputs
from bench.methods.losses import cross_entropy, full, kl_divergence, log_probabilities
from bench.networks.base import Features, shape_of
from bench.schema import NonNegative, PositiveInt

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class StructuredKD(Method):
    """L = CE(y, p) + λ (KL(teacher || student) + Σ_ij (a_ij(student) − a_ij(teacher))² / R²), without a discriminator.

    The second term is a pixel's, their mean; of the third the mean over the images is taken. a_ij is the cosine of what
    a feature map has at places i and j of its R ones (section 3.1). As in the authors' code the places are maxima over
    ``pool`` x ``pool`` pixels, and the lengths take no gradient. The paper's third part, an adversarial loss of whole
    segmentations, is left out.

    Args:
        weight: λ, 10 in the paper.
        feature: the map that is compared, by its name in both networks; channels may differ.
        pool: pixels along the side of a place.
    """

    weight: NonNegative
    feature: str
    pool: PositiveInt = 1

    name: ClassVar[str] = "structured_kd"
    needs: ClassVar[Needs] = Needs(teacher="features")

    def compare(self, student: Features, teacher: Features) -> None:
        """Maps of one size, of at least one place."""
        own, other = shape_of(student, self.feature, "student")[1], shape_of(teacher, self.feature, "teacher")[1]
        if own != other or own < self.pool:
            raise RecipeError(
                f"{self.feature!r} is {own} pixels wide in the student and {other} in the teacher; both must be equal"
                f" and no less than 'pool', {self.pool}"
            )

    def loss(self, k: int, batch: Batch, outputs: Outputs) -> "dict[str, Tensor]":
        """``ce``, ``pixel`` and ``pair``, the last two already multiplied by λ."""
        student, teacher = outputs.students[k], outputs.teachers[0]
        pixel = kl_divergence(log_probabilities(teacher.logits), log_probabilities(student.logits))
        own, other = (similarity(output.features[self.feature], self.pool) for output in (student, teacher))
        return {
            "ce": cross_entropy(student.logits, batch.labels),
            "pixel": self.weight * pixel,
            "pair": self.weight * (own - other).square().mean(),
        }


def similarity(feature: "Tensor", pool: int) -> "Tensor":
    """The cosines of a map (N, C, H, W) at all pairs of its places, (N, R, R)."""
    from torch.nn.functional import max_pool2d

    places = max_pool2d(full(feature), pool, ceil_mode=True).flatten(2)
    lengths = places.detach().norm(dim=1, keepdim=True) + 1e-8
    places = places / lengths
    cosines: Tensor = places.transpose(1, 2) @ places
    return cosines
