"""Distillation weighted by the teacher's output error, after the survey's words on its reference [18].

The formula of that work is not known to us: the survey (Abbasi et al., arXiv 1912.13179) says that it emphasises the
images that the teacher was taught well. This is the plainest form of that.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench.methods.base import Batch, Knowledge, Method, Needs, Outputs
from bench.methods.losses import cross_entropy, kl_divergences, log_probabilities, teacher_log_probabilities
from bench.schema import NonNegative, Positive

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ErrorWeighted(Method):
    """L = h CE(y, p) + α T² mean_n w_n KL(teacher softened by T || student softened by T), where w_n = 1 − e_n.

    e_n = 1 − t_n(y_n) is the teacher's error on an image: what its probability of the label, at T = 1, lacks. With all
    w_n = 1 this is KD.

    Args:
        temperature: T.
        alpha: α, the soft term's weight.
        hard: h, the hard term's weight.
    """

    temperature: Positive
    alpha: NonNegative = 1.0
    hard: NonNegative = 1.0

    name: ClassVar[str] = "error_weighted"
    needs: ClassVar[Needs] = Needs(teacher="logits", several=True)
    knowledge: ClassVar[Knowledge | None] = Knowledge("soft labels", "output", "weighted by the teacher's error")

    def loss(self, k: int, batch: Batch, outputs: Outputs) -> "dict[str, Tensor]":
        """``ce`` and ``kd``, each already multiplied by its weight."""
        logits = outputs.students[k].logits
        weights = teacher_log_probabilities(outputs.teachers).exp().gather(1, batch.labels[:, None])[:, 0]
        target = teacher_log_probabilities(outputs.teachers, self.temperature)
        divergences = kl_divergences(target, log_probabilities(logits, self.temperature))
        soft = self.alpha * self.temperature**2 * (weights * divergences).mean()
        return {"ce": self.hard * cross_entropy(logits, batch.labels), "kd": soft}
