"""Weights as autocast would round them, rounded once a step: bfloat16 leaves beside float32 masters.

The masters are the network's own parameters: the optimiser steps them, checkpoints and artifacts hold them, and their
names are what they always are. The leaves take their places in a forward pass, and take the gradients.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from bench.networks.modules.base import Output
from bench.train.device import rounded_layers


class LeafWeights:
    """The leaves of one network, rounded to ``dtype``, of those layers that autocast rounds."""

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        named = {
            f"{layer}.{name}" if layer else name: parameter
            for layer, module in rounded_layers(network)
            for name, parameter in module.named_parameters(recurse=False)
        }
        self.network, self.masters = network, list[Tensor](named.values())
        self.tensors = [
            master.detach().to(dtype, copy=True).requires_grad_(master.requires_grad) for master in self.masters
        ]
        self.named = dict(zip(named, self.tensors, strict=True))

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
        """Round the masters anew: one kernel for up to 64 of them."""
        torch._foreach_copy_(self.tensors, self.masters)

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
