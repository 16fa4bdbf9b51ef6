"""Distillation whose weight falls during training: the second stage of FitNets (Romero et al., arXiv 1412.6550)."""

from torch import Tensor

from bench.methods.base import Method, Outputs, cross_entropy, log_probabilities


class DecayingKD(Method):
    """L = CE(y, p) + λ CE(teacher softened by τ, student softened by τ), without a factor τ² (eq. 2, and its code).

    λ goes linearly from ``start`` at the first step to ``end`` after the last; in FitNets' code from 4 to 1, between
    its epochs 5 and 400. CE to the teacher is KL plus the teacher's entropy: the same gradient, and a value that
    differs by what the student cannot change.

    Args:
        classes: number of classes.
        temperature: τ.
        start: λ at the first step.
        end: λ after the last one.
    """

    def __init__(self, classes: int, temperature: float, start: float, end: float) -> None:
        super().__init__(classes)
        self.temperature, self.start, self.end = temperature, start, end

    def loss(self, k: int, labels: Tensor, outputs: Outputs) -> dict[str, Tensor]:
        """``ce`` and ``kd``, the second already multiplied by λ."""
        logits = outputs.students[k].logits
        target = log_probabilities(outputs.teachers[0].logits, self.temperature).exp()
        soft = -(target * log_probabilities(logits, self.temperature)).sum(dim=1).mean()
        weight = self.start + (self.end - self.start) * outputs.progress
        return {"ce": cross_entropy(logits, labels), "kd": weight * soft}
