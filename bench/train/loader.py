"""One split of a set on the device: uint8 images, and the augmented batches that a network is shown."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.recipe import Data
from bench.rng import generator


@dataclass(frozen=True)
class EpochRandomness:
    """The order and the augmentation of one epoch over n images.

    ``top``, ``left`` and ``flip`` belong to images, not to places in the order.

    Args:
        order: (n,) int64, the sequence in which the images are shown.
        top: (n,) int64, 0 to twice the padding: the row of the padded image in which the crop begins.
        left: (n,) int64, the same of the column.
        flip: (n,) bool, whether the crop is mirrored.
    """

    order: NDArray[np.int64]
    top: NDArray[np.int64]
    left: NDArray[np.int64]
    flip: NDArray[np.bool_]

    @classmethod
    def draw(cls, seed: int, epoch: int, n: int, padding: int, flip: bool) -> "EpochRandomness":
        """Order, crops and flips, each from a generator of its own; without flips ``flip`` is all False."""
        top, left = generator(seed, "crop", epoch).integers(0, 2 * padding + 1, size=(2, n))
        flips = generator(seed, "flip", epoch).integers(0, 2 if flip else 1, size=n).astype(np.bool_)
        return cls(generator(seed, "order", epoch).permutation(n), top, left, flips)


class DeviceLoader:
    """Images and labels on a device; a batch is gathered, cropped, flipped and normalised there.

    The host is never waited for. The buffers of order and augmentation are filled in place, so that a captured graph
    sees each epoch's.

    Args:
        images: (N, H, W, C). Bytes are normalised; floats were made by a network and are as it takes them.
        labels: (N,).
        data: how they are padded, flipped and normalised.
        device: where they lie.
        dtype: of the batches.
        augment: else images are shown as they are, in order.
    """

    def __init__(
        self,
        images: NDArray[np.uint8 | np.float16],
        labels: NDArray[np.int64],
        data: Data,
        device: torch.device,
        dtype: torch.dtype,
        *,
        augment: bool,
    ) -> None:
        self.size, self.dtype = images.shape[1], dtype
        padding = data.crop_padding if augment else 0
        self.augments = augment and (padding > 0 or data.flip)
        self.padded = pad(torch.from_numpy(images).to(device), padding, data.padding_mode)  # (N, H + 2p, W + 2p, C)
        self.labels = torch.from_numpy(labels).to(device)  # (N,), and so are the next four
        self.order = torch.arange(len(labels), device=device)
        self.top, self.left = torch.zeros_like(self.order), torch.zeros_like(self.order)
        self.flip = torch.zeros(len(labels), dtype=torch.bool, device=device)
        each = (torch.tensor(v, dtype=torch.float32, device=device) for v in (data.mean, data.std))
        self.mean, self.std = (channels.repeat(self.size) for channels in each)  # (W * C,), of a row of pixels

    def __len__(self) -> int:
        """Number of images."""
        return len(self.labels)

    def begin_epoch(self, randomness: EpochRandomness) -> None:
        """Take the order and the augmentation of an epoch, all copied to the device at once."""
        for name in ("order", "top", "left", "flip"):
            getattr(self, name).copy_(torch.from_numpy(getattr(randomness, name)))

    def batch(self, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What stands at places (B,) of the epoch's order.

        Returns:
            images (B, C, H, W), normalised, in channels_last memory; their labels (B,) and their indices (B,).
        """
        indices = self.order.index_select(0, positions)
        return self.images(indices), self.labels.index_select(0, indices), indices

    def images(self, indices: Tensor) -> Tensor:
        """Images (B, C, H, W) of some indices (B,), augmented as in this epoch."""
        if self.augments:
            top, left, flip = (own.index_select(0, indices) for own in (self.top, self.left, self.flip))
            images = crop_and_flip(self.padded, indices, top, left, flip, self.size)
        else:
            images = self.padded.index_select(0, indices).permute(0, 3, 1, 2)
        if images.dtype == torch.uint8:
            return normalise(images, self.mean, self.std, self.dtype)
        return images.to(self.dtype)


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


def crop_and_flip(padded: Tensor, indices: Tensor, top: Tensor, left: Tensor, flip: Tensor, size: int) -> Tensor:
    """Crops of padded images (N, H, W, C): (B, C, size, size) in channels_last memory.

    ``indices``, ``top``, ``left`` int64 (B,) and ``flip`` bool (B,) lie on the device of ``padded``. One gather, no
    synchronisation and no shape that depends on values, so that it can be part of a CUDA graph.
    """
    windows = padded.unfold(1, size, 1).unfold(2, size, 1).permute(0, 1, 2, 4, 5, 3)
    crops = windows[indices, top, left]
    return torch.where(flip[:, None, None, None], crops.flip(2), crops).permute(0, 3, 1, 2)


def normalise(images: Tensor, mean: Tensor, std: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """``(images / 255 - mean) / std`` of uint8 (B, C, H, W), computed in float32.

    ``mean`` and ``std`` are the channels', repeated for each pixel of a row: float32 (W * C,). Channels lie side by
    side in memory, and whole rows at a time are several times faster than single pixels.
    """
    batch, _, height, width = images.shape
    pixels = images.permute(0, 2, 3, 1).to(torch.float32, memory_format=torch.contiguous_format)
    rows = pixels.reshape(batch, height, -1)
    scaled = rows.div_(255).sub_(mean).div_(std)
    return scaled.reshape(batch, height, width, -1).permute(0, 3, 1, 2).to(dtype)
