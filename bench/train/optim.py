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


def adam(
    parameters: Iterable[Parameter], lr: Tensor, *, beta1: float, beta2: float, eps: float, weight_decay: float
) -> torch.optim.Optimizer:
    """Adam (Kingma and Ba, arXiv 1412.6980, algorithm 1); decay is added to the gradient."""
    optimizer = torch.optim.Adam(
        parameters,
        lr=lr,
        betas=(beta1, beta2),
        eps=eps,
        weight_decay=weight_decay,
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
