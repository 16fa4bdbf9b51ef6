"""Trainable parts of methods; imported when a run needs them, for this imports torch."""

import math
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from bench.networks.modules.base import BatchNorm

# Channels and height of a feature map.
Shape = tuple[int, ...]


def regression(own: Shape, other: Shape) -> nn.Sequential:
    """A convolution from a student's feature (C, h, ·) to the shape of a teacher's (D, H, ·), and its normalisation.

    Where the sizes are equal it is 1x1; one that is twice the other has a stride, or is transposed; any other that is
    larger loses its border, as in FitNets.
    """
    (channels, side), (planes, target) = own[:2], other[:2]
    if side == 2 * target:
        convolution: nn.Module = nn.Conv2d(channels, planes, 3, stride=2, padding=1)
    elif 2 * side == target:
        convolution = nn.ConvTranspose2d(channels, planes, 4, stride=2, padding=1)
    else:
        convolution = nn.Conv2d(channels, planes, 1 + side - target)
    return nn.Sequential(convolution, BatchNorm(planes))


class Gaussian(nn.Module):
    """A mean that three 1x1 convolutions make of a feature (N, C, h, w), and a variance for each of D channels."""

    def __init__(self, channels: int, planes: int, variance: float, eps: float) -> None:
        super().__init__()
        widths = (channels, planes, planes)
        self.mean = nn.Sequential()
        for i, width in enumerate(widths):
            if i:
                self.mean.append(nn.ReLU())
            self.mean.append(nn.Conv2d(width, planes, 1, bias=False))
        self.variance = Variance(planes, variance, eps)


class Variance(nn.Module):
    """softplus(``raw``) + ε, (D,), that begins as given."""

    def __init__(self, planes: int, variance: float, eps: float) -> None:
        super().__init__()
        self.raw = nn.Parameter(torch.empty(planes))
        self.initial, self.eps = variance, eps

    @torch.no_grad()
    def draw_weights(self, generator: np.random.Generator) -> None:
        """Nothing of chance."""
        self.raw.fill_(math.log(math.exp(self.initial - self.eps) - 1))

    def forward(self) -> Tensor:
        """σ², (D,)."""
        return nn.functional.softplus(self.raw) + self.eps


def factor(channels: int, planes: int, *, normalised: bool) -> nn.Sequential:
    """Three 3x3 convolutions from C to ``planes`` channels: FT's translator, and the half of its paraphraser."""
    return _leaky(nn.Conv2d, [channels, channels, planes, planes], normalised=normalised)


class Paraphraser(nn.Module):
    """An autoencoder of a feature (N, D, H, W), whose code has ``planes`` channels (Kim et al., figure 2)."""

    def __init__(self, channels: int, planes: int) -> None:
        super().__init__()
        self.encoder = factor(channels, planes, normalised=False)
        self.decoder = _leaky(nn.ConvTranspose2d, [planes, planes, channels, channels], normalised=False)


def _leaky(kind: type[nn.Conv2d | nn.ConvTranspose2d], widths: list[int], *, normalised: bool) -> nn.Sequential:
    layers = nn.Sequential()
    for inputs, outputs in pairwise(widths):
        layers.append(kind(inputs, outputs, 3, padding=1))
        if normalised:
            layers.append(BatchNorm(outputs))
        layers.append(nn.LeakyReLU(0.1))
    return layers
