"""Distillation from soft targets alone, for transfer sets without true labels (Nayak et al., ICML 2019, eq. 5)."""

from torch import Tensor

from bench.methods.base import Method, Outputs, kl_divergence, log_probabilities


class SoftTargets(Method):
    """L = T² KL(teacher softened by T || student softened by T): Hinton et al.'s loss without its hard term.

    Args:
        classes: number of classes.
        temperature: T.
    """

    def __init__(self, classes: int, temperature: float) -> None:
        super().__init__(classes)
        self.temperature = temperature

    def loss(self, k: int, labels: Tensor, outputs: Outputs) -> dict[str, Tensor]:
        """``kd``, already multiplied by T²; the labels are not used."""
        target = log_probabilities(outputs.teachers[0].logits, self.temperature)
        log_p = log_probabilities(outputs.students[k].logits, self.temperature)
        return {"kd": self.temperature**2 * kl_divergence(target, log_p)}
