"""What a frozen teacher said of every view that a student was shown, so that it is asked once.

Crops and flips give an image few views: 162 with a padding of 4. A teacher's logits for all of them fit in memory,
and runs that share a teacher share them. The draws of an epoch are known before it starts, so that its missing views
are computed then, in full batches: no training step waits or branches.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.pictures import Pictures
from bench.data.views import Draws
from bench.train.device import free_memory
from bench.train.speed import Batches

# Of the memory that is free; the rest is for the student, and for other runs beside this one.
MEMORY_SHARE = 0.25
# A cache that spares less than this share of the teacher's work is not worth its memory.
LEAST_SPARED = 0.05


def views_of(padding: int, flip: bool) -> int:
    """How many views an image has: every crop, mirrored or not."""
    return (2 * padding + 1) ** 2 * (2 if flip else 1)


def asked_anew(epochs: int, views: int) -> float:
    """The expected share of a teacher's forward passes that a cache still needs, for one draw an image and epoch."""
    return float(views * (1 - (1 - 1 / views) ** epochs) / epochs)


def pays(epochs: int, images: int, views: int, classes: int, device: torch.device) -> bool:
    """Whether a cache of float32 logits fits and spares work within one run."""
    needed = images * views * classes * 4
    return 1 - asked_anew(epochs, views) >= LEAST_SPARED and needed <= MEMORY_SHARE * free_memory(device)


class Answers:
    """What a teacher is known to have said: shared by the runs that take it on the same images in the same views.

    Args:
        images: how many there are.
        padding: of their crops.
        flip: whether they are mirrored.
    """

    def __init__(self, images: int, padding: int, flip: bool) -> None:
        self.side, self.flip, self.views = 2 * padding + 1, flip, views_of(padding, flip)
        self.known = np.zeros((images, self.views), dtype=np.bool_)
        self.logits: Tensor | None = None
        self.filled: torch.cuda.Event | None = None

    def view(self, draws: Draws) -> NDArray[np.int64]:
        """The number (N,) of the view in which an epoch shows each image."""
        crop: NDArray[np.int64] = draws.top * self.side + draws.left
        return crop * 2 + draws.flip if self.flip else crop


class TeacherCache:
    """The answers as one run uses them.

    Args:
        answers: what is known; grows, in the type that the teacher gives.
        teacher: maps images (B, C, H, W) to logits (B, classes).
        pictures: the training set.
        batch: images that the teacher is asked of at a time: as many as in a training step, for the same answers.
    """

    def __init__(self, answers: Answers, teacher: Callable[[Tensor], Tensor], pictures: Pictures, batch: int) -> None:
        self.answers, self.teacher, self.pictures = answers, teacher, pictures
        device = pictures.order.device
        self.view = torch.zeros(len(pictures), dtype=torch.int64, device=device)
        self.missing = torch.zeros(-(-len(pictures) // batch) * batch, dtype=torch.int64, device=device)
        self.batches = Batches(self._ask, len(self.missing), batch, device)

    def fill(self, draws: Draws, count: int) -> int:
        """Ask the teacher of what the first ``count`` images of an epoch need and is not known yet; how many that was.

        The pictures must have the epoch's draws already.
        """
        view, used = self.answers.view(draws), np.sort(draws.order[:count])
        missing = used[~self.answers.known[used, view[used]]]
        steps = -(-len(missing) // self.batches.batch)
        # A last batch that is not full is filled up: a teacher may answer a smaller one a little differently.
        padded = np.resize(missing, steps * self.batches.batch)
        self.view.copy_(torch.from_numpy(view))
        self.missing[: len(padded)].copy_(torch.from_numpy(padded))
        if self.answers.filled is not None:
            # What is known may have been asked by another run, on another stream, and still be on its way.
            torch.cuda.current_stream(self.view.device).wait_event(self.answers.filled)
        self.batches.run(steps)
        self.answers.known[missing, view[missing]] = True
        if self.view.is_cuda:
            self.answers.filled = torch.cuda.current_stream(self.view.device).record_event()
        return len(missing)

    @torch.no_grad()
    def _ask(self, positions: Tensor) -> None:
        index = self.missing[positions]
        logits = self.teacher(self.pictures.shown(index))
        if self.answers.logits is None:
            self.answers.logits = logits.new_zeros(len(self.view) * self.answers.views, logits.shape[1])
        self.answers.logits.index_copy_(0, self._place(index), logits)

    def answer(self, index: Tensor) -> Tensor:
        """Logits (B, classes) of images (B,) in the views of this epoch, which :meth:`fill` has seen."""
        if self.answers.logits is None:
            raise RuntimeError("nothing was asked of the teacher yet")
        return self.answers.logits[self._place(index)]

    def _place(self, index: Tensor) -> Tensor:
        return index * self.answers.views + self.view[index]
