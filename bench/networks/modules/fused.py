# mypy: disable-error-code="no-untyped-call"
"""Batch normalisation, residual sum and ReLU as one operation on CUDA: two kernels forward, two backward.

PyTorch takes seven for the normalisation of bfloat16 alone, and one each for sum and ReLU, both ways. Here the first
kernel of a pass sums up ranges of rows (pixels of all images), and every program of the second one adds those partial
sums up for itself: that costs less than a kernel between the two. Sums are float32, whatever the images are.

All of it can be part of a CUDA graph: nothing is read back to the host, grids and shapes follow from the shape of the
input alone, memory comes from PyTorch's allocator (so from the graph's pool, in a capture), launches go to the current
stream, a replay leaves no counter or lock behind, and the calls that warm up have compiled every kernel for these
shapes before the capture begins.
"""

from typing import Any

import torch
import triton
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from bench.networks.modules import kernels

TILE = 4096  # elements that a program holds at a time
MOST_CHANNELS = 64  # of a tile
MERGED = 8192  # partial sums that a program adds up, so that they fit its registers
OPTIONS = {"num_warps": 8, "enable_fp_fusion": True}


class _Rows:
    """How the rows and channels of images (N, C, H, W) are shared among programs.

    Where their sums are ``merged``, there are only so many programs; else each has one tile.
    """

    def __init__(self, x: Tensor, *, merged: bool) -> None:
        self.channels = x.shape[1]
        self.rows = x.numel() // self.channels
        self.block = min(MOST_CHANNELS, triton.next_power_of_2(self.channels))
        self.height = TILE // self.block
        most = MERGED // self.block if merged else self.rows
        self.chunk = triton.cdiv(triton.cdiv(self.rows, most), self.height) * self.height  # rows of a program
        self.programs = triton.cdiv(self.rows, self.chunk)

    def sums(self, like: Tensor) -> Tensor:
        """Room for two sums of each program and channel."""
        return like.new_empty(2, self.programs, self.channels)

    def launch(self, kernel: Any, *arguments: Any, **constants: Any) -> None:
        """Launch a kernel, which is told the rest."""
        grid = self.programs, triton.cdiv(self.channels, self.block)
        launch(kernel, grid, *arguments, self.rows, self.channels, self.chunk, R=self.height, C=self.block, **constants)

    def merge(self, kernel: Any, *arguments: Any, **constants: Any) -> None:
        """Launch a kernel that adds the sums of all programs up."""
        self.launch(kernel, *arguments, P=triton.next_power_of_2(self.programs), **constants)


def launch(kernel: Any, grid: tuple[int, int], *arguments: Any, **constants: Any) -> None:
    """Launch a kernel on the device of its first tensor, on the current stream; tests count these calls."""
    with torch.cuda.device_of(arguments[0]):
        kernel[grid](*arguments, **constants, **OPTIONS)


class _Training(torch.autograd.Function):
    """With the statistics of the batch."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, residual: Tensor | None, norm: nn.BatchNorm2d, scale: Tensor, shift: Tensor, relu: bool
    ) -> Tensor:
        rows, y, kept = _Rows(x, merged=True), torch.empty_like(x), scale.new_empty(2, x.shape[1])
        sums = rows.sums(scale)
        flags = {"RESIDUAL": residual is not None, "RELU": relu}
        running = norm.running_mean, norm.running_var, norm.momentum, norm.eps
        rows.launch(kernels.moments, x, sums)
        rows.merge(
            kernels.normalise, x, _or(residual, x), y, scale, shift, sums, kept, *running,
            TRAINING=True, TRACKED=norm.track_running_stats, **flags,
        )  # fmt: skip
        # The sign of what a ReLU gives says where it lets a gradient pass.
        ctx.save_for_backward(x, y if relu else x, scale, kept)
        ctx.flags = flags
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, y, scale, kept = ctx.saved_tensors
        rows, dy = _Rows(x, merged=True), dy.contiguous(memory_format=torch.channels_last)
        dx, dscale, dshift = torch.empty_like(x), torch.empty_like(scale), torch.empty_like(scale)
        dresidual, sums = torch.empty_like(x) if ctx.flags["RESIDUAL"] else None, rows.sums(scale)
        rows.launch(kernels.gradient_sums, dy, y, x, kept, sums, RELU=ctx.flags["RELU"])
        rows.merge(kernels.gradients, dy, y, x, scale, kept, sums, dx, _or(dresidual, dx), dscale, dshift, **ctx.flags)
        return dx, dresidual, None, dscale, dshift, None


def batch_norm(norm: nn.BatchNorm2d, x: Tensor, residual: Tensor | None, *, relu: bool) -> Tensor:
    """As :meth:`bench.networks.modules.base.BatchNorm.forward`; in evaluation it takes no gradient.

    The result has the type of ``x``, (N, C, H, W), and channels_last memory.
    """
    x = x.contiguous(memory_format=torch.channels_last)
    if residual is not None:
        residual = residual.contiguous(memory_format=torch.channels_last)
    if norm.training:
        # Of the weights, gradients go to those that are given here, whatever the module holds.
        trained: Tensor = _Training.apply(x, residual, norm, norm.weight, norm.bias, relu)
        return trained
    y, mean, var = torch.empty_like(x), norm.running_mean, norm.running_var
    _Rows(x, merged=False).launch(
        kernels.normalise, x, _or(residual, x), y, norm.weight, norm.bias, mean, mean, mean, var, norm.momentum,
        norm.eps, P=1, TRAINING=False, TRACKED=False, RESIDUAL=residual is not None, RELU=relu,
    )  # fmt: skip
    return y


def _or(tensor: Tensor | None, other: Tensor) -> Tensor:
    """A kernel takes a tensor in every place, even where it does not look at it."""
    return other if tensor is None else tensor
