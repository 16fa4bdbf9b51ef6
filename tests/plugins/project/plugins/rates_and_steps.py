"""A polynomial decay, and Adam with decoupled weight decay."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.optimizers import Optimizer
from bench.schedules import Decay
from bench.schema import NonNegative, Positive

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn import Parameter


@dataclass(frozen=True)
class Polynomial(Decay):
    """(1 - t)^power, t from the end of the warm-up to the end of the schedule."""

    power: Positive

    name: ClassVar[str] = "polynomial"

    def factors(self, steps: NDArray[np.int64], unit: int, warm: int, total: int) -> NDArray[np.float64]:
        """1 until the warm-up ends, 0 after the last step."""
        return (1 - np.clip((steps - warm) / (total - warm), 0.0, 1.0)) ** self.power


@dataclass(frozen=True)
class AdamW(Optimizer):
    """Loshchilov and Hutter, arXiv 1711.05101."""

    weight_decay: NonNegative

    name: ClassVar[str] = "adamw"

    def build(self, parameters: "Iterable[Parameter]", lr: "Tensor") -> "torch.optim.Optimizer":
        """Both means are there at once."""
        import torch

        parameters = list(parameters)
        optimizer = torch.optim.AdamW(
            parameters, lr=lr, weight_decay=self.weight_decay, fused=True, capturable=lr.device.type == "cuda"
        )
        for parameter in parameters:
            optimizer.state[parameter] = {
                "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
        return optimizer
