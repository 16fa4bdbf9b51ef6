"""What a run sees of a set: a subset of its images, and random crops and flips made on the device."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.draws import generator
from bench.errors import DataError


def subset(labels: NDArray[np.int64], fraction: float | None, per_class: int | None, seed: int) -> NDArray[np.int64]:
    """Sorted indices of a balanced subset of the images whose labels (N,) are given; all when neither size is given.

    ``per_class`` images of every class, or ``fraction`` of all images spread evenly over the classes (the
    remainder over classes drawn at random; a class that runs out leaves its share to the others). Of one seed, a
    smaller subset lies within a larger one. Raises ``DataError`` when there are too few images.
    """
    present, sizes = np.unique(labels, return_counts=True)
    if per_class is not None and per_class > sizes.min():
        scarce = present[sizes.argmin()]
        raise DataError(f"{per_class} images a class were asked for, but class {scarce} has {sizes.min()}")
    draws = generator(seed, "subset")
    members = [draws.permutation(np.flatnonzero(labels == label)) for label in present]
    ranks = np.concatenate([np.arange(size) for size in sizes])
    turns = np.repeat(draws.permutation(len(present)), sizes)
    if per_class is not None:
        count = per_class * len(present)
    else:
        count = len(labels) if fraction is None else round(fraction * len(labels))
    if count == 0:
        raise DataError(f"a fraction {fraction} of {len(labels)} images is no image")
    return np.sort(np.concatenate(members)[np.lexsort((turns, ranks))[:count]])


@dataclass(frozen=True)
class Draws:
    """The draws of one epoch over n images: ``order`` int64 (n,) is the sequence in which they are shown.

    ``top`` and ``left`` (int64, 0 to twice the padding) and ``flip`` (bool), each (n,), belong to images, not to
    places in the order: the crop of image i begins at ``top[i]``, ``left[i]`` of its padded image.
    """

    order: NDArray[np.int64]
    top: NDArray[np.int64]
    left: NDArray[np.int64]
    flip: NDArray[np.bool_]


def epoch_draws(seed: int, epoch: int, n: int, padding: int, flip: bool) -> Draws:
    """Order, crops and flips of one epoch, each from a generator of its own; without flips ``flip`` is all False."""
    top, left = generator(seed, "crop", epoch).integers(0, 2 * padding + 1, size=(2, n))
    flips = generator(seed, "flip", epoch).integers(0, 2 if flip else 1, size=n).astype(np.bool_)
    return Draws(generator(seed, "order", epoch).permutation(n), top, left, flips)


def pad(images: Tensor, padding: int, mode: Literal["constant", "reflect"]) -> Tensor:
    """Images (N, H, W, C) with ``padding`` more pixels a side: zeros, or the image mirrored at its edge."""
    if mode == "constant":
        return torch.nn.functional.pad(images, (0, 0, padding, padding, padding, padding))
    rows, columns = (_mirrored(side, padding, images.device) for side in images.shape[1:3])
    return images[:, rows[:, None], columns[None, :]]


def _mirrored(side: int, padding: int, device: torch.device) -> Tensor:
    """Indices -padding to side + padding - 1, reflected into 0 to side - 1 without repeating the edge."""
    last = side - 1
    return last - (last - torch.arange(-padding, side + padding, device=device).abs()).abs()


def view(padded: Tensor, index: Tensor, top: Tensor, left: Tensor, flip: Tensor, size: int) -> Tensor:
    """Crops of padded images (N, H, W, C): (B, C, size, size) in channels_last memory.

    ``index``, ``top``, ``left`` int64 (B,) and ``flip`` bool (B,) lie on the device of ``padded``. One gather, no
    synchronisation and no shape that depends on values, so that it can be part of a CUDA graph.
    """
    windows = padded.unfold(1, size, 1).unfold(2, size, 1).permute(0, 1, 2, 4, 5, 3)
    crops = windows[index, top, left]
    return torch.where(flip[:, None, None, None], crops.flip(2), crops).permute(0, 3, 1, 2)


def normalise(images: Tensor, mean: Tensor, std: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """``(images / 255 - mean) / std`` of uint8 (B, C, H, W), mean and std float32 (C,); computed in float32."""
    # Channels lie side by side in memory: whole rows of pixels at a time are several times faster than single ones.
    batch, _, height, width = images.shape
    pixels = images.permute(0, 2, 3, 1).to(torch.float32, memory_format=torch.contiguous_format)
    rows = pixels.reshape(batch, height, -1)
    scaled = rows.div_(255).sub_(mean.repeat(width)).div_(std.repeat(width))
    return scaled.reshape(batch, height, width, -1).permute(0, 3, 1, 2).to(dtype)
