"""Optimisers, fused, with their state made at once and the rate in a tensor, so that a CUDA graph can replay a step."""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import Parameter


def sgd(
    parameters: Iterable[Parameter], lr: Tensor, *, momentum: float, nesterov: bool, weight_decay: float
) -> torch.optim.Optimizer:
    """Stochastic gradient descent; decay applies to every parameter, batch normalisation's included.

    A zero momentum buffer gives the same first step as PyTorch's missing one (0 · momentum + gradient).
    """
    optimizer = torch.optim.SGD(
        parameters, lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay, fused=True
    )
    if momentum:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer
