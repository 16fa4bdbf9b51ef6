"""A frozen teacher's logits for every augmented view that a student was shown, so that it computes each once.

Crops and flips give an image few views: 162 with a padding of 4. A teacher's logits for all of them fit in memory,
and runs that share a teacher share them. The randomness of an epoch is known before it starts, so that its missing
views are computed then, in full batches: no training step waits or branches.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.train.device import free_memory, upload_
from bench.train.loader import DeviceLoader, EpochRandomness
from bench.train.loop import CapturedLoop

# Of the memory that is free; the rest is for the student, and for other runs beside this one.
MEMORY_SHARE = 0.25
# A cache that spares less than this share of the teacher's work is not worth its memory.
LEAST_SPARED = 0.05


def num_views(padding: int, flip: bool) -> int:
    """How many views an image has: every crop, mirrored or not."""
    return (2 * padding + 1) ** 2 * (2 if flip else 1)


def expected_miss_rate(epochs: int, views: int) -> float:
    """The expected share of a teacher's forward passes that a cache still needs, for one view an image and epoch."""
    return float(views * (1 - (1 - 1 / views) ** epochs) / epochs)


def is_worthwhile(epochs: int, images: int, views: int, logits: int, teachers: int, device: torch.device) -> bool:
    """Whether caches of so many float32 ``logits`` an image, one a teacher, fit and spare work within one run."""
    needed = teachers * images * views * logits * 4
    return 1 - expected_miss_rate(epochs, views) >= LEAST_SPARED and needed <= MEMORY_SHARE * free_memory(device)


class LogitsCache:
    """The logits of one teacher: shared by the runs that take it on the same images in the same views.

    Args:
        images: how many there are.
        padding: of their crops.
        flip: whether they are mirrored.
    """

    def __init__(self, images: int, padding: int, flip: bool) -> None:
        self.side, self.flip, self.views = 2 * padding + 1, flip, num_views(padding, flip)
        self.known = np.zeros((images, self.views), dtype=np.bool_)
        self.logits: Tensor | None = None  # (images * views, labels of an image, classes), from the first batch on
        self.filled: torch.cuda.Event | None = None

    def view(self, randomness: EpochRandomness) -> NDArray[np.int64]:
        """The number (N,) of the view in which an epoch shows each image."""
        crop: NDArray[np.int64] = randomness.top * self.side + randomness.left
        return crop * 2 + randomness.flip if self.flip else crop


class CachedTeacher:
    """A teacher as one run uses it: its logits are looked up, and computed once an epoch where they are missing.

    Args:
        cache: what is known; grows, in the type that the teacher gives.
        teacher: maps images (B, C, H, W) to logits (B * labels of an image, classes).
        loader: the training set.
        batch: images that the teacher is shown at a time: as many as in a training step, for the same logits.
    """

    def __init__(
        self, cache: LogitsCache, teacher: Callable[[Tensor], Tensor], loader: DeviceLoader, batch: int
    ) -> None:
        self.cache, self.teacher, self.loader = cache, teacher, loader
        device = loader.padded.device
        self.view = torch.zeros(len(loader), dtype=torch.int64, device=device)  # (N,), that of each image in this epoch
        self.missing = torch.zeros(-(-len(loader) // batch) * batch, dtype=torch.int64, device=device)  # indices
        self.loop = CapturedLoop(self._compute, len(self.missing), batch, device)

    def fill(self, randomness: EpochRandomness, count: int) -> int:
        """Compute what the first ``count`` images of an epoch need and is not known yet; how many that was.

        The loader must have begun the epoch already.
        """
        view, used = self.cache.view(randomness), np.sort(randomness.order[:count])
        missing = used[~self.cache.known[used, view[used]]]
        steps = -(-len(missing) // self.loop.batch)
        # A last batch that is not full is filled up: a teacher may answer a smaller one a little differently.
        padded = np.resize(missing, steps * self.loop.batch)
        upload_(self.view, torch.from_numpy(view))
        upload_(self.missing[: len(padded)], torch.from_numpy(padded))
        if self.cache.filled is not None:
            # What is known may have been computed by another run, on another stream, and still be on its way.
            torch.cuda.current_stream(self.view.device).wait_event(self.cache.filled)
        self.loop.run(steps)
        self.cache.known[missing, view[missing]] = True
        if self.view.is_cuda:
            self.cache.filled = torch.cuda.current_stream(self.view.device).record_event()
        return len(missing)

    @torch.no_grad()
    def _compute(self, positions: Tensor) -> None:
        indices = self.missing[positions]
        logits = self.teacher(self.loader.images(indices))
        if self.cache.logits is None:
            shape = len(self.view) * self.cache.views, self.loader.labels_each, logits.shape[1]
            self.cache.logits = logits.new_zeros(shape)
        self.cache.logits.index_copy_(0, self._place(indices), logits.view(len(indices), *self.cache.logits.shape[1:]))

    def logits(self, indices: Tensor) -> Tensor:
        """Logits (B * labels of an image, classes) of images (B,) in the views that :meth:`fill` has seen last."""
        if self.cache.logits is None:
            raise RuntimeError("no logits were computed yet")
        return self.cache.logits[self._place(indices)].flatten(0, 1)

    def _place(self, indices: Tensor) -> Tensor:
        return indices * self.cache.views + self.view[indices]
