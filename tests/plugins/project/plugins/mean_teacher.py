"""Mean teacher (Tarvainen and Valpola, arXiv 1703.01780): the student learns from a moving average of itself."""

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench.methods.base import Batch, Method, Outputs, Setup
from bench.methods.losses import cross_entropy, full
from bench.schema import NonNegative, Share

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class MeanTeacher(Method):
    """L = CE(y, p) + w MSE(softmax of the average's logits, p); w rises to ``weight`` as exp(-5 (1 - t)²).

    ``decay`` is that of the average, which begins as a plain mean; t is the share of training that is done.
    """

    weight: NonNegative = 10.0
    decay: Share = 0.999

    name: ClassVar[str] = "mean_teacher"

    def parts(self, setup: Setup) -> "nn.Module":
        """A copy of the student, and the number of steps."""
        import torch
        from torch import nn

        parts = nn.Module()
        parts.average = copy.deepcopy(setup.students[0]).requires_grad_(False).eval()
        parts.register_buffer("steps", torch.zeros(()))
        return parts

    def loss(self, k: int, batch: Batch, outputs: Outputs) -> "dict[str, Tensor]":
        """``ce`` and ``consistency``, the second already multiplied by w."""
        import torch

        logits = outputs.students[k].logits
        with torch.no_grad():
            target = full(outputs.forward(outputs.parts.average, batch.images).logits).softmax(1)
        weight = self.weight * torch.exp(-5 * (1 - batch.progress).square())
        consistency = (full(logits).softmax(1) - target).square().mean()
        return {"ce": cross_entropy(logits, batch.labels), "consistency": weight * consistency}

    def after_step(self, batch: Batch, outputs: Outputs) -> None:
        """Weights and running statistics move towards the student's."""
        parts = outputs.parts
        parts.steps += 1
        move = 1 - (1 - 1 / parts.steps).clamp(max=self.decay)
        student = outputs.networks[0].state_dict()
        for name, value in parts.average.state_dict().items():
            if value.is_floating_point():
                value.lerp_(student[name].to(value.dtype), move.to(value.dtype))
            else:
                value.copy_(student[name])
