"""One split of a set on the device: uint8 images, and the batches that a network is shown."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data import views
from bench.recipe import Data


class Pictures:
    """Images and labels on a device; ``batch`` crops, flips and normalises there, without waiting for the host.

    Images of bytes are normalised; images of floats were made by a network and are as it takes them.

    The buffers of order and views are filled in place, so that a captured graph sees each epoch's draws.
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
        """Images (N, H, W, C) and labels (N,); without ``augment`` they are shown as they are, in order."""
        self.size, self.dtype = images.shape[1], dtype
        padding = data.crop_padding if augment else 0
        self.moved = augment and (padding > 0 or data.flip)
        self.padded = views.pad(torch.from_numpy(images).to(device), padding, data.padding_mode)
        self.labels = torch.from_numpy(labels).to(device)
        self.mean, self.std = (torch.tensor(v, dtype=torch.float32, device=device) for v in (data.mean, data.std))
        self.order = torch.arange(len(labels), device=device)
        self.top, self.left = torch.zeros_like(self.order), torch.zeros_like(self.order)
        self.flip = torch.zeros(len(labels), dtype=torch.bool, device=device)

    def __len__(self) -> int:
        """Number of images."""
        return len(self.labels)

    def draw(self, draws: views.Draws) -> None:
        """Take the draws of an epoch, all copied to the device at once."""
        for name in ("order", "top", "left", "flip"):
            getattr(self, name).copy_(torch.from_numpy(getattr(draws, name)))

    def batch(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, C, H, W), normalised, channels_last, and labels (B,) at places (B,) of the epoch's order."""
        index = self.order[positions]
        return self.shown(index), self.labels[index]

    def shown(self, index: Tensor) -> Tensor:
        """Images (B, C, H, W) of numbers (B,), in the views of this epoch."""
        if self.moved:
            images = views.view(self.padded, index, self.top[index], self.left[index], self.flip[index], self.size)
        else:
            images = self.padded.index_select(0, index).permute(0, 3, 1, 2)
        if images.dtype == torch.uint8:
            return views.normalise(images, self.mean, self.std, self.dtype)
        return images.to(self.dtype)
