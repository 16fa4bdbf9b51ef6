"""How a network's weights are represented where they are used: by few levels, beside a copy in full precision.

The optimiser steps the copy. Forward passes take what is made of it, and the gradient with respect to that is taken for
the copy's own (straight-through; Bengio et al., arXiv 1308.3432). What a run leaves is made of it too: the weights that
are deployed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from bench.component import Component
from bench.errors import RecipeError
from bench.schema import Positive, PositiveInt

if TYPE_CHECKING:
    from torch import Tensor

FULL = 32  # bits of a weight that is not quantised, and of each number that is kept beside those that are


@dataclass(frozen=True)
class Quantiser(Component):
    """Makes tensors of few levels of a network's parameters.

    Args:
        ends: whether the weights of the first and of the last layer are quantised too, or stay in full precision.
    """

    ends: Literal["quantised", "full"]

    # Whether vectors are quantised too: biases, and the scales and shifts of normalisation.
    vectors: ClassVar[bool] = False

    def chosen(self, parameters: "Mapping[str, Tensor]") -> list[str]:
        """The names of those of a network's parameters, in its order, that are quantised."""
        matrices = [name for name, own in parameters.items() if own.ndim > 1]
        kept = {*matrices[:1], *matrices[-1:]} if self.ends == "full" else set()
        return [name for name, own in parameters.items() if name not in kept and (self.vectors or own.ndim > 1)]

    def num_bytes(self, parameters: "Mapping[str, Tensor]") -> int:
        """What a network's parameters take: codes without gaps, and whatever is needed to read them."""
        chosen = {*self.chosen(parameters)}
        bits = (self.bits_of(own.numel()) if name in chosen else FULL * own.numel() for name, own in parameters.items())
        return -(-sum(bits) // 8)

    def quantise(self, weight: "Tensor") -> "Tensor":
        """What stands for a tensor of any shape; without a value that comes back to the host, for a CUDA graph."""
        raise NotImplementedError

    def bits_of(self, count: int) -> int:
        """Bits of a tensor of so many weights."""
        raise NotImplementedError


@dataclass(frozen=True)
class Uniform(Quantiser):
    """2^bits levels, evenly from the least to the greatest weight of each bucket (Polino et al., arXiv 1802.05668).

    Linear scaling, section 2, and the authors' code: Q(v) = α round((v − β) / α (s − 1)) / (s − 1) + β, where β is the
    minimum of a bucket, β + α its maximum and s = 2^bits. A bucket is so many weights of one tensor that follow each
    other; the last one of a tensor may have fewer. α and β are kept for each. Every parameter is quantised, that of
    normalisation and biases too.

    Args:
        bits: of each weight.
        bucket: weights that share a scale.
    """

    bits: PositiveInt
    bucket: PositiveInt

    name: ClassVar[str] = "uniform"
    vectors: ClassVar[bool] = True

    def check(self) -> None:
        """Float32 has no more than 24 bits to tell levels apart."""
        if self.bits > 16:
            raise RecipeError(f"bits: at most 16, got {self.bits}; without 'weights' they are float32")

    def quantise(self, weight: "Tensor") -> "Tensor":
        """The nearest level of each weight's own bucket."""
        import torch

        flat = weight.reshape(-1)
        width = min(self.bucket, len(flat))
        # Filled up with a weight that is there, the last bucket has the same least and greatest.
        buckets = torch.cat([flat, flat[-1:].expand(-len(flat) % width)]).reshape(-1, width)
        least, greatest = buckets.amin(1, keepdim=True), buckets.amax(1, keepdim=True)
        steps = 2**self.bits - 1
        # Equal weights have a span of 0: all of them are its lower end.
        span = (greatest - least).clamp_min(torch.finfo(weight.dtype).tiny)
        codes = ((buckets - least) / span * steps).round()
        # Exact at both ends, so that what is quantised stays as it is.
        levels = torch.lerp(least, greatest, codes / steps)
        return levels.reshape(-1)[: len(flat)].reshape(weight.shape)

    def bits_of(self, count: int) -> int:
        """Codes, and the scale and the shift of each bucket."""
        return self.bits * count + 2 * FULL * -(-count // self.bucket)


@dataclass(frozen=True)
class Ternary(Quantiser):
    """−α, 0 or α (Li et al., Ternary Weight Networks, arXiv 1605.04711, section 2).

    0 where |w| ≤ Δ = t · mean |w| of the tensor, else α with the sign of w; α is the mean of those |w| > Δ, which is
    nearest to them. Only tensors of two or more dimensions are ternary.

    Args:
        threshold: t; 0.7 in the paper.
    """

    threshold: Positive

    name: ClassVar[str] = "ternary"

    def quantise(self, weight: "Tensor") -> "Tensor":
        """The nearest of three levels of the whole tensor."""
        # In a row, so that the memory format of a weight does not say in which order it is summed.
        size = weight.reshape(-1).abs()
        large = (size > self.threshold * size.mean()).to(weight.dtype)
        scale = (size * large).sum() / large.sum().clamp_min(1)
        return weight.sign() * (large * scale).reshape(weight.shape)

    def bits_of(self, count: int) -> int:
        """Two a weight, and α."""
        return 2 * count + FULL
