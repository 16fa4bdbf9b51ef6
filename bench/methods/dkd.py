"""Decoupled knowledge distillation (Zhao et al., arXiv 2203.08679, eq. 6 and 7)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench.methods.base import Batch, Knowledge, Method, Needs, Outputs
from bench.methods.losses import cross_entropy, full, kl_divergence
from bench.schema import NonNegative, Positive, Share

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class DKD(Method):
    """L = CE(y, p) + w T² (α KL(b(teacher) || b(student)) + β KL(q(teacher) || q(student))).

    b are the two probabilities of the label and of all other classes, q those of the others among themselves, both of
    logits divided by T.

    Args:
        temperature: T.
        target: α.
        others: β.
        warmup: the share of training over which w rises from 0 to 1.
    """

    temperature: Positive
    target: NonNegative
    others: NonNegative
    warmup: Share = 0.0

    name: ClassVar[str] = "dkd"
    needs: ClassVar[Needs] = Needs(teacher="logits")
    knowledge: ClassVar[Knowledge | None] = Knowledge("soft labels", "output", "the own class apart")

    def loss(self, k: int, batch: Batch, outputs: Outputs) -> "dict[str, Tensor]":
        """``ce``, ``target`` and ``others``, each already multiplied by its weight."""
        logits = outputs.students[k].logits
        own, other = (self._decoupled(z, batch.labels) for z in (logits, outputs.teachers[0].logits))
        weight: Tensor | float = self.temperature**2
        if self.warmup:
            weight = weight * (batch.progress / self.warmup).clamp(max=1)
        return {
            "ce": cross_entropy(logits, batch.labels),
            "target": self.target * weight * kl_divergence(other[0], own[0]),
            "others": self.others * weight * kl_divergence(other[1], own[1]),
        }

    def _decoupled(self, logits: "Tensor", labels: "Tensor") -> "tuple[Tensor, Tensor]":
        """Logarithms of b, (N, 2), and of q, (N, C − 1)."""
        import torch

        z, label = full(logits) / self.temperature, labels[:, None]
        # The classes but the label's, in order.
        places = torch.arange(z.shape[1] - 1, device=z.device)[None]
        rest = z.gather(1, places + (places >= label))
        both = torch.cat([z.gather(1, label), rest.logsumexp(dim=1, keepdim=True)], dim=1)
        return both.log_softmax(dim=1), rest.log_softmax(dim=1)
