"""Batches as published training scripts make them: PIL images, torchvision's transforms, worker processes."""

import os
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from bench.benchmark.task import Task
from bench.recipe import Data

WORKERS = 8  # as such scripts ask for; a machine with fewer cores gets one a core


class _Pictures(Dataset[tuple[Tensor, int]]):
    """Images (N, H, W, C) and labels, transformed one by one, as torchvision's own sets are."""

    def __init__(self, images: NDArray[np.uint8], labels: NDArray[np.int64], data: Data) -> None:
        self.images, self.labels = images, labels
        crop = [transforms.RandomCrop(images.shape[1], padding=data.crop_padding)] if data.crop_padding else []
        flip = [transforms.RandomHorizontalFlip()] if data.flip else []
        tensor = [transforms.ToTensor(), transforms.Normalize(data.mean, data.std)]
        self.transform = transforms.Compose([*crop, *flip, *tensor])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = self.images[index]
        shown = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
        return self.transform(shown), int(self.labels[index])


def endless(task: Task) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches on the host, epoch after epoch, each in a new order."""
    images = _Pictures(task.images, task.labels, task.run.stage.data)
    loader = DataLoader(images, task.batch, shuffle=True, num_workers=min(WORKERS, _cores()), drop_last=True)
    while True:
        yield from loader


def _cores() -> int:
    """Those that this process may use, which can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
