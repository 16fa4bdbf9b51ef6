"""The labels and a deep feature of a teacher as it is: Zhu et al., Low-resolution Visual Recognition via Deep Feature
Distillation (ICASSP 2019).

The teacher sees the images whole, the student as ``resolution`` in its ``data`` leaves them.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench.errors import RecipeError
from bench.methods.base import Batch, Method, Needs, Outputs
from bench.methods.losses import cross_entropy, full
from bench.networks.base import Features, shape_of
from bench.schema import NonNegative

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class FeatureDistillation(Method):
    """L = CE(y, p) + λ mean (s − t)², of one feature that has the same shape in both networks.

    The mean is over images, channels and positions; nothing is trained between the two.

    Args:
        weight: λ.
        layer: the name of the feature, (N, C, H, W), or (N, D) after the global mean.
    """

    weight: NonNegative
    layer: str

    name: ClassVar[str] = "feature_distillation"
    needs: ClassVar[Needs] = Needs(teacher="features")

    def compare(self, student: Features, teacher: Features) -> None:
        """The feature has one shape in both."""
        own, other = shape_of(student, self.layer, "student"), shape_of(teacher, self.layer, "teacher")
        if own != other:
            told = (f"{channels} channels of {side} x {side}" for channels, side in (own, other))
            raise RecipeError(f"{self.layer!r} has {' in the student and '.join(told)} in the teacher; one is needed")

    def loss(self, k: int, batch: Batch, outputs: Outputs) -> "dict[str, Tensor]":
        """``ce`` and ``feature``, the second already multiplied by λ."""
        student, teacher = outputs.students[k], outputs.teachers[0]
        difference = full(student.features[self.layer]) - full(teacher.features[self.layer])
        return {
            "ce": cross_entropy(student.logits, batch.labels),
            "feature": self.weight * difference.square().mean(),
        }
