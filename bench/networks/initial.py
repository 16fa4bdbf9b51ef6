"""Initial weights that depend on nothing but the seed and the rule."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.networks.base import Initial

_Draw = Callable[[nn.Module, np.random.Generator], None]


@torch.no_grad()
def initialise(net: nn.Module, generator: np.random.Generator, rule: Initial = "he_fan_out") -> None:
    """Draw the weights of ``net`` that are trained from ``generator``, in the order of its named modules.

    - ``he_fan_out``: convolutions N(0, sqrt(2 / (k·k·out))) (He et al., ICCV 2015, section 2.2, fan-out), their biases
      0; linear layers as in ``framework``. What public CIFAR ResNets have.
    - ``he_all``: weights of both N(0, sqrt(2 / fan_in)) (the same, fan-in), biases 0.
    - ``framework``: PyTorch's own default: weights and biases of both U(-1/sqrt(fan_in), 1/sqrt(fan_in)).

    Transposed convolutions have the last of these under each rule, with the fan-in that PyTorch takes: k·k·out.

    Under each rule normalisation layers begin with weight 1, bias 0, running mean 0 and running variance 1. A module of
    another type that has parameters of its own draws them itself, in a method ``draw_weights(generator)``.

    The draws are float64 on the CPU, then cast to each parameter's dtype: a seed gives the same weights everywhere.
    A module whose parameters take no gradient is left as it is.

    Raises:
        TypeError: a module of another type that has no such method.
    """
    for name, module in net.named_modules():
        own = [parameter.requires_grad for parameter in module.parameters(recurse=False)]
        if own and not any(own):
            continue
        if hasattr(module, "draw_weights"):
            module.draw_weights(generator)
        elif isinstance(module, _NORMALISATIONS):
            _reset(module)
        elif isinstance(module, nn.Conv2d | nn.Linear):
            _RULES[rule](module, generator)
        elif isinstance(module, nn.ConvTranspose2d):
            _uniform(module, generator)
        elif own:
            raise TypeError(
                f"{name or 'the network'}: no rule for the initial weights of {type(module).__name__}; give it a method"
                " draw_weights(generator)"
            )


_NORMALISATIONS = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm)


def _reset(norm: nn.Module) -> None:
    for name, value in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
        tensor = getattr(norm, name, None)
        if tensor is not None:
            tensor.fill_(value)


def _he_fan_out(module: nn.Module, generator: np.random.Generator) -> None:
    if isinstance(module, nn.Conv2d):
        _normal(module, module.out_channels * math.prod(module.kernel_size), generator)
    else:
        _uniform(module, generator)


def _he_all(module: nn.Module, generator: np.random.Generator) -> None:
    _normal(module, _fan_in(module), generator)


def _normal(module: Any, fan: int, generator: np.random.Generator) -> None:
    _fill(module.weight, generator.normal(0.0, math.sqrt(2 / fan), module.weight.shape))
    if module.bias is not None:
        module.bias.zero_()


def _uniform(module: nn.Module, generator: np.random.Generator) -> None:
    bound = 1 / math.sqrt(_fan_in(module))
    for parameter in module.parameters(recurse=False):
        _fill(parameter, generator.uniform(-bound, bound, parameter.shape))


def _fan_in(module: Any) -> int:
    """How many inputs each output of a convolution or a linear layer sums over."""
    return int(module.weight[0].numel())


_RULES: Mapping[Initial, _Draw] = {"he_fan_out": _he_fan_out, "he_all": _he_all, "framework": _uniform}


def _fill(parameter: Tensor, draws: np.ndarray[Any, np.dtype[np.float64]]) -> None:
    parameter.copy_(torch.from_numpy(draws))
