"""Optimisers, fused, with their state made at once and the rate in a tensor, so that a CUDA graph can replay a step."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench.component import Component
from bench.errors import RecipeError
from bench.schema import NonNegative, Positive

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn import Parameter


@dataclass(frozen=True)
class Optimizer(Component):
    """Builds a PyTorch optimiser that a CUDA graph can replay."""

    def build(self, parameters: "Iterable[Parameter]", lr: "Tensor") -> "torch.optim.Optimizer":
        """The optimiser of some parameters; ``lr``, a scalar on their device, is changed in place before each step.

        Whatever it keeps between steps must be there at once, and be found in its ``state``: checkpoints hold that.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent; decay applies to every parameter, batch normalisation's included."""

    momentum: NonNegative
    nesterov: bool
    weight_decay: NonNegative

    name: ClassVar[str] = "sgd"

    def check(self) -> None:
        """Past steps fade; PyTorch has no Nesterov step without momentum."""
        if self.momentum >= 1:
            raise RecipeError("momentum must be below 1, or past steps never fade")
        if self.nesterov and not self.momentum:
            raise RecipeError("nesterov needs a momentum above 0")

    def build(self, parameters: "Iterable[Parameter]", lr: "Tensor") -> "torch.optim.Optimizer":
        """A zero momentum buffer gives the same first step as PyTorch's missing one (0 · momentum + gradient)."""
        import torch

        from bench.fused_steps import FusedSGD

        optimizer = FusedSGD(
            parameters,
            lr=lr,
            momentum=self.momentum,
            nesterov=self.nesterov,
            weight_decay=self.weight_decay,
            fused=True,
        )
        if self.momentum:
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        return optimizer


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam (Kingma and Ba, arXiv 1412.6980, algorithm 1); decay is added to the gradient."""

    beta1: NonNegative
    beta2: NonNegative
    eps: Positive
    weight_decay: NonNegative

    name: ClassVar[str] = "adam"

    def check(self) -> None:
        """Means that never forget are none."""
        if max(self.beta1, self.beta2) >= 1:
            raise RecipeError("beta1 and beta2 must be below 1")

    def build(self, parameters: "Iterable[Parameter]", lr: "Tensor") -> "torch.optim.Optimizer":
        """Both means begin at zero, as PyTorch's do."""
        import torch

        from bench.fused_steps import FusedAdam

        optimizer = FusedAdam(
            parameters,
            lr=lr,
            betas=(self.beta1, self.beta2),
            eps=self.eps,
            weight_decay=self.weight_decay,
            fused=True,
            capturable=lr.device.type == "cuda",
        )
        # Steps that warm up for a graph are not captured, and need not be.
        optimizer._warned_capturable_if_run_uncaptured = True
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                optimizer.state[parameter] = {
                    "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
                    "exp_avg": torch.zeros_like(parameter),
                    "exp_avg_sq": torch.zeros_like(parameter),
                }
        return optimizer
