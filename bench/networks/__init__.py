"""Networks: built by name from the registry, with initial weights that depend on nothing but the seed."""

import math
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from bench.networks.base import Network, Output
from bench.registry import NETWORKS

__all__ = ["Network", "Output", "build", "initialise"]


def build(name: str, params: Mapping[str, Any], classes: int, channels: int, size: int) -> Network:
    """Construct the network that the registry calls ``name``, for images (channels, size, size).

    Its weights are not those of a run before :func:`initialise`. Raises what the network raises for parameters
    that make no network (RecipeError).
    """
    return cast(Network, NETWORKS[name].load()(classes=classes, channels=channels, size=size, **params))


@torch.no_grad()
def initialise(net: nn.Module, generator: np.random.Generator) -> None:
    """Draw all weights of ``net`` from ``generator``, in the order of its named modules.

    - convolution: N(0, sqrt(2 / (k*k*out))) (He et al., ICCV 2015, section 2.2, fan-out), its bias 0;
    - batch normalisation: weight 1, bias 0, running mean 0, running variance 1;
    - linear: weight and bias U(-1/sqrt(fan_in), 1/sqrt(fan_in)), PyTorch's default.

    The draws are float64 on the CPU, then cast to each parameter's dtype: a seed gives the same weights everywhere.

    Raises:
        TypeError: a module of another type that has parameters of its own.
    """
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.out_channels * math.prod(module.kernel_size)
            _fill(module.weight, generator.normal(0.0, math.sqrt(2 / fan_out), module.weight.shape))
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, nn.Linear):
            bound = 1 / math.sqrt(module.in_features)
            for parameter in module.parameters(recurse=False):
                _fill(parameter, generator.uniform(-bound, bound, parameter.shape))
        elif isinstance(module, nn.BatchNorm2d):
            for tensor, value in (
                (module.weight, 1.0),
                (module.bias, 0.0),
                (module.running_mean, 0.0),
                (module.running_var, 1.0),
            ):
                if tensor is not None:
                    tensor.fill_(value)
        elif next(module.parameters(recurse=False), None) is not None:
            raise TypeError(f"{name or 'the network'}: no rule for the initial weights of {type(module).__name__}")


def _fill(parameter: Tensor, draws: np.ndarray[Any, np.dtype[np.float64]]) -> None:
    parameter.copy_(torch.from_numpy(draws))
