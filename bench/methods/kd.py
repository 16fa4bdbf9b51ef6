"""Distillation from a teacher's softened probabilities, or from those of an ensemble, and two kin of it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from bench.methods.base import Batch, Method, Needs, Outputs
from bench.methods.losses import cross_entropy, kl_divergence, log_probabilities, teacher_log_probabilities
from bench.schema import NonNegative, Positive

if TYPE_CHECKING:
    from torch import Tensor

_LOGITS = Needs(teacher="logits", several=True)


@dataclass(frozen=True)
class KD(Method):
    """L = h CE(y, p) + α T² KL(teacher softened by T || student) (Hinton et al., arXiv 1503.02531; FFDWV, eq. 3 to 5).

    Of several teachers, the mean of their softened probabilities is learned.

    Args:
        temperature: T.
        soften: ``both`` softens the student too, as Hinton et al. do; ``teacher`` leaves the student at T = 1, which is
            what eq. 4 of FFDWV prints.
        alpha: α, the soft term's weight.
        hard: h, the hard term's weight.
    """

    temperature: Positive
    soften: Literal["both", "teacher"]
    alpha: NonNegative = 1.0
    hard: NonNegative = 1.0

    name: ClassVar[str] = "kd"
    needs: ClassVar[Needs] = _LOGITS

    def loss(self, k: int, batch: Batch, outputs: Outputs) -> "dict[str, Tensor]":
        """``ce`` and ``kd``, each already multiplied by its weight."""
        logits = outputs.students[k].logits
        target = teacher_log_probabilities(outputs.teachers, self.temperature)
        own = log_probabilities(logits, self.temperature if self.soften == "both" else 1.0)
        soft = self.alpha * self.temperature**2 * kl_divergence(target, own)
        return {"ce": self.hard * cross_entropy(logits, batch.labels), "kd": soft}


@dataclass(frozen=True)
class SoftTargets(Method):
    """L = T² KL(teacher softened by T || student softened by T): no hard term, for images without true labels.

    Nayak et al., ICML 2019, eq. 5. ``temperature`` is T.
    """

    temperature: Positive

    name: ClassVar[str] = "soft_targets"
    needs: ClassVar[Needs] = _LOGITS

    def loss(self, k: int, batch: Batch, outputs: Outputs) -> "dict[str, Tensor]":
        """``kd``, already multiplied by T²; the labels are not used."""
        target = teacher_log_probabilities(outputs.teachers, self.temperature)
        own = log_probabilities(outputs.students[k].logits, self.temperature)
        return {"kd": self.temperature**2 * kl_divergence(target, own)}


@dataclass(frozen=True)
class DecayingKD(Method):
    """L = CE(y, p) + λ CE(teacher softened by τ, student softened by τ): the second stage of FitNets.

    Romero et al., arXiv 1412.6550, eq. 2, and its code: without a factor τ². λ goes linearly from ``start`` at the
    first step to ``end`` after the last; in FitNets' code from 4 to 1, between its epochs 5 and 400. CE to the teacher
    is KL plus the teacher's entropy: the same gradient, and a value that differs by what the student cannot change.

    Args:
        temperature: τ.
        start: λ at the first step.
        end: λ after the last one.
    """

    temperature: Positive
    start: NonNegative
    end: NonNegative

    name: ClassVar[str] = "kd_decay"
    needs: ClassVar[Needs] = _LOGITS

    def loss(self, k: int, batch: Batch, outputs: Outputs) -> "dict[str, Tensor]":
        """``ce`` and ``kd``, the second already multiplied by λ."""
        logits = outputs.students[k].logits
        target = teacher_log_probabilities(outputs.teachers, self.temperature).exp()
        soft = -(target * log_probabilities(logits, self.temperature)).sum(dim=1).mean()
        weight = self.start + (self.end - self.start) * batch.progress
        return {"ce": cross_entropy(logits, batch.labels), "kd": weight * soft}
