"""Weights as a forward pass takes them, made once a step: leaves beside masters in full precision.

They are what autocast would round to bfloat16, or what a quantiser makes of them, or both. The masters are the
network's own parameters: the optimiser steps them, checkpoints hold them, and their names are what they always are. The
leaves take their places in a forward pass, and take the gradients, which are given to the masters as they are.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from bench.networks.modules.base import Output
from bench.quantisers import Quantiser
from bench.train.device import rounded_layers


class LeafWeights:
    """The leaves of one network: of the layers that autocast rounds, and of the parameters that are quantised.

    Args:
        network: whose parameters are the masters.
        rounded: the type that autocast rounds to; None where it is left to autocast, or rounds nothing.
        quantiser: how some of them are represented, if they are.
    """

    def __init__(self, network: nn.Module, rounded: torch.dtype | None, quantiser: Quantiser | None = None) -> None:
        own = dict(network.named_parameters())
        cast = {
            f"{layer}.{name}" if layer else name: parameter
            for layer, module in (rounded_layers(network) if rounded else ())
            for name, parameter in module.named_parameters(recurse=False)
        }
        self.quantiser, self.quantised = quantiser, {*quantiser.chosen(own)} if quantiser else set[str]()
        named = cast | {name: own[name] for name in own if name in self.quantised}
        self.network, self.names, self.masters = network, list(named), list[Tensor](named.values())
        types = [rounded if rounded and name in cast else master.dtype for name, master in named.items()]
        self.tensors = [
            master.detach().to(dtype, copy=True).requires_grad_(master.requires_grad)
            for master, dtype in zip(self.masters, types, strict=True)
        ]
        self.named = dict(zip(named, self.tensors, strict=True))
        self.refresh()

    def attach(self, optimizer: torch.optim.Optimizer) -> None:
        """Before each of its steps it gets the leaves' gradients, and after it the leaves get its weights."""
        optimizer.register_step_pre_hook(self._give_gradients)
        optimizer.register_step_post_hook(self.refresh)

    def forward(self, images: Tensor) -> Output:
        """What the network says of images (N, C, H, W), with the leaves in place of the masters."""
        output: Output = functional_call(self.network, self.named, (images,))
        return output

    @torch.no_grad()
    def refresh(self, *_: Any) -> None:
        """Make them anew of the masters: one kernel for up to 64 of those that are rounded alone."""
        torch._foreach_copy_(self.tensors, self._represented())

    @torch.no_grad()
    def deploy(self) -> None:
        """Let the masters be what they are represented by; those that are rounded alone keep what they are."""
        torch._foreach_copy_(self.masters, self._represented())

    def _represented(self) -> list[Tensor]:
        """The masters, those that are quantised as they are then, still in full precision."""
        return [
            self.quantiser.quantise(master) if self.quantiser and name in self.quantised else master
            for name, master in zip(self.names, self.masters, strict=True)
        ]

    @torch.no_grad()
    def _give_gradients(self, *_: Any) -> None:
        pairs = [
            (leaf, master) for leaf, master in zip(self.tensors, self.masters, strict=True) if leaf.grad is not None
        ]
        gradients = [torch.empty_like(master) for _, master in pairs]
        torch._foreach_copy_(gradients, [leaf.grad for leaf, _ in pairs if leaf.grad is not None])
        for (leaf, master), gradient in zip(pairs, gradients, strict=True):
            # A method may have used the master itself, by its name.
            master.grad = gradient if master.grad is None else master.grad + gradient
            leaf.grad = None
