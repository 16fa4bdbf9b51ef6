"""One split of a set on the device: uint8 images, and the augmented batches that a network is shown."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.recipe import Data
from bench.rng import generator
from bench.train.device import free_memory, upload_

# Bytes that a set may take where it is normalised once, and not in every step; and their share of the free memory:
# eight processes side by side leave half of it.
MOST_NORMALISED, MEMORY_SHARE = 2**30, 1 / 16


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

    Where each pixel has a label, the labels go through the same crops and flips.

    The host is never waited for. The buffers of order and augmentation are filled in place, so that a captured graph
    sees each epoch's. A small set that is not augmented is normalised once; of one that is mirrored, both ways are
    kept.

    Args:
        images: (N, H, W, C). Bytes are normalised; floats were made by a network and are as it takes them.
        labels: (N,), or (N, H, W) where each pixel has one.
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
        self.size, self.dtype, self.padding = images.shape[1], dtype, data.crop_padding if augment else 0
        self.augments = augment and (self.padding > 0 or data.flip)
        self.padded = pad(torch.from_numpy(images).to(device), self.padding, data.padding_mode)
        self.labels, self.labels_each = labels, int(np.prod(labels.shape[1:]))  # of an image: one, or one a pixel
        # (N, H, W, 1) as the images are, where each pixel has a label; else each image's is with the order.
        self.maps: Tensor | None = None
        if labels.ndim > 1:
            self.maps = pad(torch.from_numpy(labels[..., None]).to(device), self.padding, data.padding_mode)
        # Of an epoch: index and label at each place of its order, then source, top and left of each image's crop.
        self.epoch = torch.empty(5, len(labels), dtype=torch.int64, device=device)
        self.places, self.views = self.epoch[:2], self.epoch[2:]
        each = (torch.tensor(v, dtype=torch.float32, device=device) for v in (data.mean, data.std))
        self.mean, self.std = (channels.repeat(self.size**2) for channels in each)  # (H * W * C,), of an image's values
        if augment and data.flip:
            # (2N, ...), the mirrored ones last: the crop of a mirrored image is one gather too.
            self.padded = torch.cat([self.padded, self.padded.flip(2)])
            self.maps = None if self.maps is None else torch.cat([self.maps, self.maps.flip(2)])
        elif not self.augments and _is_small(self.padded.numel() * dtype.itemsize, device):
            self.padded = self._normalised(self.padded.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        nothing = np.zeros(len(labels), dtype=np.int64)
        self.begin_epoch(EpochRandomness(np.arange(len(labels)), nothing, nothing, nothing.astype(np.bool_)))

    def __len__(self) -> int:
        """Number of images."""
        return len(self.labels)

    def begin_epoch(self, randomness: EpochRandomness) -> None:
        """Take the order and the augmentation of an epoch, copied to the device at once."""
        order, flip = randomness.order, randomness.flip
        # A mirrored crop is a crop of the mirrored image, as far from its other edge.
        left = np.where(flip, 2 * self.padding - randomness.left, randomness.left)
        source = np.arange(len(order)) + len(order) * flip
        labels = self.labels[order] if self.maps is None else np.zeros_like(order)
        rows = np.stack([order, labels, source, randomness.top, left])
        upload_(self.epoch, torch.from_numpy(rows))

    def batch(self, places: Tensor | slice) -> tuple[Tensor, Tensor, Tensor]:
        """What stands at places of the epoch's order: (B,) int64 on the device, or a slice.

        Returns:
            images (B, C, H, W), normalised, in channels_last memory; their labels (B,), or those of their pixels one
            after the other (B * H * W,); and their indices (B,).
        """
        at = self.places[:, places] if isinstance(places, slice) else self.places.index_select(1, places)
        indices, labels = at.unbind()
        if self.maps is not None:
            labels = self._views(self.maps, indices).reshape(-1)
        return self.images(indices), labels, indices

    def images(self, indices: Tensor) -> Tensor:
        """Images (B, C, H, W) of some indices (B,), augmented as in this epoch."""
        return self._normalised(self._views(self.padded, indices))

    def _views(self, padded: Tensor, indices: Tensor) -> Tensor:
        """What of ``padded`` (N, ...), images or their pixels' labels, is shown in this epoch."""
        if self.augments:
            source, top, left = self.views.index_select(1, indices).unbind()
            return crop(padded, source, top, left, self.size)
        return padded.index_select(0, indices).permute(0, 3, 1, 2)

    def _normalised(self, images: Tensor) -> Tensor:
        if images.dtype == torch.uint8:
            return normalise(images, self.mean, self.std, self.dtype)
        return images.to(self.dtype)


def _is_small(size: int, device: torch.device) -> bool:
    """Whether so many bytes can be spared."""
    return size <= min(MOST_NORMALISED, MEMORY_SHARE * free_memory(device))


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


def crop(padded: Tensor, source: Tensor, top: Tensor, left: Tensor, size: int) -> Tensor:
    """Crops of padded images (N, H, W, C): (B, C, size, size) in channels_last memory.

    ``source``, ``top`` and ``left``, int64 (B,), lie on the device of ``padded``. One gather, no synchronisation and no
    shape that depends on values, so that it can be part of a CUDA graph.
    """
    windows = padded.unfold(1, size, 1).unfold(2, size, 1).permute(0, 1, 2, 4, 5, 3)
    return windows[source, top, left].permute(0, 3, 1, 2)


def reduced(images: Tensor, side: int | None) -> Tensor:
    """Images (B, C, H, W) as a sensor of ``side`` by ``side`` pixels would have seen them, in the size that they have.

    Means of equal squares, enlarged by bilinear interpolation. Both are linear, so it does not matter that the images
    are normalised. None leaves them as they are.
    """
    if side is None:
        return images
    small = torch.nn.functional.avg_pool2d(images, images.shape[2] // side)
    large = torch.nn.functional.interpolate(small, images.shape[2:], mode="bilinear", align_corners=False)
    return large.contiguous(memory_format=torch.channels_last)


def normalise(images: Tensor, mean: Tensor, std: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """``(images / 255 - mean) / std`` of uint8 (B, C, H, W), computed in float32.

    ``mean`` and ``std`` are the channels', repeated for each pixel of an image: float32 (H * W * C,). Channels lie side
    by side in memory, and whole images at a time are several times faster than single pixels.
    """
    batch, _, height, width = images.shape
    scaled = images.permute(0, 2, 3, 1).reshape(batch, -1).div(255).sub_(mean).div_(std)
    return scaled.reshape(batch, height, width, -1).permute(0, 3, 1, 2).to(dtype)
