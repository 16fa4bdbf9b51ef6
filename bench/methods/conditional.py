"""Conditional teacher-student learning (Meng et al., ICASSP 2019): a teacher is believed where it is right."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench.methods.base import Batch, Knowledge, Method, Needs, Outputs
from bench.methods.losses import cross_entropies, kl_divergences, log_probabilities, teacher_log_probabilities
from bench.schema import Positive

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Conditional(Method):
    """L = mean_n c_n T² KL(teacher softened by T || student softened by T) + (1 − c_n) CE(y_n, p_n).

    c_n is 1 where the teacher's first guess is the label, else 0: each image has a soft or a hard target, never both.
    The paper has no temperature (T = 1), where KL and the cross entropy to the teacher have the same gradient.

    Args:
        temperature: T.
    """

    temperature: Positive = 1.0

    name: ClassVar[str] = "conditional"
    needs: ClassVar[Needs] = Needs(teacher="logits", several=True)
    knowledge: ClassVar[Knowledge | None] = Knowledge("soft labels, else labels", "output", "conditional")

    def loss(self, k: int, batch: Batch, outputs: Outputs) -> "dict[str, Tensor]":
        """``soft`` and ``hard``, each a sum over its images, divided by all of the batch."""
        logits = outputs.students[k].logits
        target = teacher_log_probabilities(outputs.teachers, self.temperature)
        right = (target.argmax(dim=1) == batch.labels).to(target.dtype)
        soft = self.temperature**2 * kl_divergences(target, log_probabilities(logits, self.temperature))
        hard = cross_entropies(logits, batch.labels)
        return {"soft": (right * soft).mean(), "hard": ((1 - right) * hard).mean()}
