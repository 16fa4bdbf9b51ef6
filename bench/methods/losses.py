"""What most losses are made of; in float32 or better, whatever precision the networks ran in.

Torch is imported in the functions, so that the methods that are made of them can be planned without it.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench.networks.modules.base import Output


def full(activation: "Tensor") -> "Tensor":
    """An activation or logits in float32, or float64 where the network ran in that."""
    return activation if activation.element_size() == 8 else activation.float()


def log_probabilities(logits: "Tensor", temperature: float = 1.0) -> "Tensor":
    """log softmax(z / T), (N, C)."""
    return (full(logits) / temperature).log_softmax(dim=1)


def teacher_log_probabilities(teachers: "Sequence[Output]", temperature: float = 1.0) -> "Tensor":
    """The log of the mean over the teachers of softmax(z / T), (N, C): one teacher's own, or an ensemble's."""
    import torch

    each = [log_probabilities(teacher.logits, temperature) for teacher in teachers]
    return each[0] if len(each) == 1 else torch.stack(each).logsumexp(dim=0) - math.log(len(each))


def cross_entropy(logits: "Tensor", labels: "Tensor", label_smoothing: float = 0.0) -> "Tensor":
    """Cross entropy to one-hot labels, or labels smoothed by ε (Szegedy et al., CVPR 2016, 7); the batch's mean."""
    from torch.nn import functional

    return functional.cross_entropy(full(logits), labels, label_smoothing=label_smoothing)


def cross_entropies(logits: "Tensor", labels: "Tensor") -> "Tensor":
    """Cross entropy to one-hot labels of each image, (N,)."""
    from torch.nn import functional

    return functional.cross_entropy(full(logits), labels, reduction="none")


def kl_divergence(target: "Tensor", log_p: "Tensor") -> "Tensor":
    """KL(target || p), summed over the classes and averaged over the batch.

    Args:
        target: (N, C) log-probabilities, finite: what underflows adds 0, minus infinity would add NaN.
        log_p: (N, C) log-probabilities.
    """
    from torch.nn import functional

    return functional.kl_div(log_p, target, reduction="batchmean", log_target=True)


def kl_divergences(target: "Tensor", log_p: "Tensor") -> "Tensor":
    """KL(target || p) of each image, (N,); as :func:`kl_divergence`, which is their mean."""
    from torch.nn import functional

    return functional.kl_div(log_p, target, reduction="none", log_target=True).sum(dim=1)


def state(**buffers: "Tensor") -> "nn.Module":
    """A module of just these buffers: the state or the constants of a method."""
    from torch import nn

    module = nn.Module()
    for name, buffer in buffers.items():
        module.register_buffer(name, buffer)
    return module
