"""The contract of a method, and the three losses that most of them are made of."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.networks.base import Output


class Outputs(NamedTuple):
    """What the networks of a group and their frozen teachers said about one batch, and when.

    ``progress`` is a scalar on the device: the share of the run's steps that are done, from 0 up to but not including
    1, for a loss that changes as training goes on. The engine gives it; outputs made by hand are those of the start.
    """

    students: Sequence[Output]
    teachers: Sequence[Output]
    progress: Tensor = torch.zeros(())


class Method(nn.Module):
    """The loss of a method. It knows nothing of devices, optimisers, files or seeds.

    Constant tables are buffers; extra trainable parts are submodules, trained with the first network and discarded.
    A subclass takes ``classes`` and, by name, the parameters of its registry entry; word distances arrive as a
    float64 tensor of shape (classes, classes).
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def loss(self, k: int, labels: Tensor, outputs: Outputs) -> dict[str, Tensor]:
        """The named terms of network ``k``'s loss, to be summed; each is a scalar, the mean over the batch.

        Args:
            k: which network of the group the loss is for; the outputs of its peers arrive detached, except under
                the update ``joint``.
            labels: (N,) class numbers.
            outputs: what each student and each teacher of the run gave for the batch.
        """
        raise NotImplementedError


def full(activation: Tensor) -> Tensor:
    """An activation or logits in float32 or better, whatever precision the network ran in."""
    return activation if activation.dtype == torch.float64 else activation.float()


def log_probabilities(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """log softmax(z / T), (N, C), in float32 or better whatever precision the network ran in."""
    return functional.log_softmax(full(logits) / temperature, dim=1)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy to one-hot labels, mean over the batch, in float32 or better."""
    return functional.cross_entropy(full(logits), labels)


def kl_divergence(target: Tensor, log_p: Tensor) -> Tensor:
    """KL(target || p), summed over the classes and averaged over the batch.

    Args:
        target: (N, C) log-probabilities, finite: what underflows adds 0, minus infinity would add NaN.
        log_p: (N, C) log-probabilities.
    """
    return functional.kl_div(log_p, target, reduction="batchmean", log_target=True)


class SoftLabels(Method):
    """Cross entropy plus KL to a soft label that depends on the class alone (FFDWV, eq. 8 and 9)."""

    log_table: Tensor

    def __init__(self, classes: int, table: Tensor) -> None:
        super().__init__(classes)
        # A mass that underflows has no finite logarithm, and 0 times infinity is no number: the smallest mass stands
        # for it, which adds nothing.
        self.register_buffer("log_table", table.clamp(min=torch.finfo(table.dtype).tiny).log())

    def loss(self, k: int, labels: Tensor, outputs: Outputs) -> dict[str, Tensor]:
        """``ce`` and ``soft``, the KL from row ``labels`` of the table to the prediction."""
        logits = outputs.students[k].logits
        log_p = log_probabilities(logits)
        return {
            "ce": cross_entropy(logits, labels),
            "soft": kl_divergence(self.log_table[labels].to(log_p.dtype), log_p),
        }
