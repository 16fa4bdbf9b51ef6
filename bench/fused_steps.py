"""PyTorch's fused steps, called at once: the same kernels, the same bits.

PyTorch sorts all tensors by device and type before each step, which for a small network takes longer than the kernels.
Here all are of one device and one type.
"""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor


class _WithoutDynamo(torch.optim.Optimizer):
    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """PyTorch's, without importing all of torch.compile, for a second or two, to be left alone by it."""
        inspect.unwrap(torch.optim.Optimizer.add_param_group)(self, param_group)


class FusedSGD(_WithoutDynamo, torch.optim.SGD):
    """:class:`torch.optim.SGD`, whose momentum buffers are there before its first step, unless momentum is zero."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient, in place; there is no closure."""
        for group, parameters, gradients in _with_gradients(self):
            buffers = [self.state[p]["momentum_buffer"] for p in parameters] if group["momentum"] else []
            torch._fused_sgd_(
                parameters,
                gradients,
                buffers,
                weight_decay=group["weight_decay"],
                momentum=group["momentum"],
                lr=group["lr"],
                dampening=group["dampening"],
                nesterov=group["nesterov"],
                maximize=group["maximize"],
                is_first_step=False,
            )


class FusedAdam(_WithoutDynamo, torch.optim.Adam):
    """:class:`torch.optim.Adam`, whose means and numbers of steps are there before its first step."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient, in place; there is no closure."""
        for group, parameters, gradients in _with_gradients(self):
            states = [self.state[p] for p in parameters]
            steps = [state["step"] for state in states]
            torch._foreach_add_(steps, 1)
            beta1, beta2 = group["betas"]
            torch._fused_adam_(
                parameters,
                gradients,
                [state["exp_avg"] for state in states],
                [state["exp_avg_sq"] for state in states],
                [],
                steps,
                lr=group["lr"],
                beta1=beta1,
                beta2=beta2,
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                amsgrad=False,
                maximize=group["maximize"],
            )


def _with_gradients(optimizer: torch.optim.Optimizer) -> Iterator[tuple[dict[str, Any], list[Tensor], list[Tensor]]]:
    """Each group's options, its parameters that have a gradient, and those gradients."""
    for group in optimizer.param_groups:
        parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
        if parameters:
            yield group, parameters, [parameter.grad for parameter in parameters]
