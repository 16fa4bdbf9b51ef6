"""Knowledge distillation (Hinton et al., arXiv 1503.02531; FFDWV, eq. 3 to 5)."""

from torch import Tensor

from bench.methods.base import Method, Outputs, cross_entropy, kl_divergence, log_probabilities


class KD(Method):
    """L = CE(y, p) + T² KL(teacher softened by T || student).

    Args:
        classes: number of classes.
        temperature: T.
        soften: ``both`` softens the student too, as Hinton et al. do; ``teacher`` leaves the student at T = 1, which is
            what eq. 4 of FFDWV prints.
    """

    def __init__(self, classes: int, temperature: float, soften: str) -> None:
        super().__init__(classes)
        self.temperature = temperature
        self.student_temperature = temperature if soften == "both" else 1.0

    def loss(self, k: int, labels: Tensor, outputs: Outputs) -> dict[str, Tensor]:
        """``ce`` and ``kd``, the second already multiplied by T²."""
        logits = outputs.students[k].logits
        target = log_probabilities(outputs.teachers[0].logits, self.temperature)
        kd = kl_divergence(target, log_probabilities(logits, self.student_temperature))
        return {"ce": cross_entropy(logits, labels), "kd": self.temperature**2 * kd}
