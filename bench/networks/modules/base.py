"""The contract of a network's module: one forward pass gives logits and named features, without hooks."""

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional


class Output(NamedTuple):
    """What a network gives for a batch of N images.

    ``logits`` is (N, classes), before any softmax, or (N, classes, H, W) of every pixel; ``features`` maps the name of
    a place in the network to its activation, (N, C, H, W) before the global pool and (N, D) after it.
    """

    logits: Tensor
    features: dict[str, Tensor]


def by_label(logits: Tensor) -> Tensor:
    """Logits with a line for each label: (N, classes) as they are, and (N * H * W, classes) of every pixel's."""
    return logits if logits.dim() == 2 else logits.permute(0, 2, 3, 1).flatten(0, 2)


class NetworkModule(nn.Module):
    """A module that maps images (N, channels, H, W), already normalised, to an :class:`Output`.

    ``linear`` is its last layer, whose rows are the vectors of the classes.
    """

    linear: nn.Linear

    if TYPE_CHECKING:

        def __call__(self, x: Tensor) -> Output:
            """As ``forward``, whose type nn.Module does not pass on."""

    def forward(self, x: Tensor) -> Output:
        """Return the logits and the features of ``x``."""
        raise NotImplementedError


def fuses(device: torch.device) -> bool:
    """Whether normalisation, residual sum and ReLU are one operation there: on CUDA, unless KDBENCH_FUSED=0."""
    return device.type == "cuda" and os.environ.get("KDBENCH_FUSED") != "0" and find_spec("triton") is not None


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation without ``num_batches_tracked``, with what follows it in a residual network.

    Counting the batches is a tenth of the kernels of a training step, and nothing reads the count where the
    momentum is fixed.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.num_batches_tracked = None

    def forward(self, input: Tensor, residual: Tensor | None = None, *, relu: bool = False) -> Tensor:
        """Normalise (N, C, H, W), then add ``residual``, then take the ReLU: on CUDA in one operation, where it can."""
        if self._can_be_fused(input):
            from bench.networks.modules import fused

            return fused.batch_norm(self, input, residual, relu=relu)
        y = super().forward(input)
        # In place: nothing else reads what the normalisation gave.
        y = y if residual is None else y.add_(residual)
        return y.relu_() if relu else y

    def _can_be_fused(self, x: Tensor) -> bool:
        """Not in float64, and with gradients only in training: PyTorch refuses to normalise a single pixel there."""
        suits = x.dtype in (torch.bfloat16, torch.float32) and x.numel() > x.shape[1]
        return suits and (self.training or not torch.is_grad_enabled()) and fuses(x.device)

    def _load_from_state_dict(self, *args: Any) -> None:
        # nn.BatchNorm2d adds the missing count to weights that carry no version (safetensors), and strict loading
        # would then refuse it: go straight to nn.Module's method.
        super(nn.modules.batchnorm._NormBase, self)._load_from_state_dict(*args)


class Classifier(nn.Linear):
    """A last layer that computes in the type of its weights, under autocast too.

    Logits in bfloat16 are equal for classes that are not (ties then go to the lower one), and a teacher's are rounded
    at 2⁻⁹; the layer is a thousandth of a ResNet's arithmetic.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Map features (N, D) of any type to logits (N, classes)."""
        with torch.autocast(input.device.type, enabled=False):
            return functional.linear(input.to(self.weight.dtype), self.weight, self.bias)
