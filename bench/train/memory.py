"""How much memory a run takes, counted as the tensors of its steps come and go."""

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.train.engine import Training


class Counted(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Bytes of the storages that operators make within it: ``live`` now, and ``peak``, the most at a time.

    What an operator takes for itself and gives back before it is done is not seen.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live, self.peak = 0, 0
        self._storages: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Carry out an operator, and count what it gave."""
        given = func(*args, **(kwargs or {}))
        for value in tree_leaves(given):
            if isinstance(value, Tensor):
                self._count(value.untyped_storage())
        return given

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._storages:
            return

        def gone(_: object) -> None:
            del self._storages[key]
            self.live -= size

        self._storages[key] = weakref.ref(storage, gone)
        self.live += size
        self.peak = max(self.peak, self.live)


def held(tensors: Iterable[Tensor]) -> int:
    """Bytes of the storages of some tensors, each counted once."""
    storages = {tensor.untyped_storage()._cdata: tensor.untyped_storage().nbytes() for tensor in tensors}
    return sum(storages.values())


def peak_of_steps(training: Training) -> int:
    """Bytes that a training step, a test batch and the cache's filling need at most, above what is held between them.

    On CUDA each of the three keeps its memory, for its graph. Elsewhere they share, and the gradients of the last
    training step are still there during the test.
    """
    for optimizer in training.optimizers:
        optimizer.zero_grad(set_to_none=True)
    begun, step, test = Counted(), Counted(), Counted()
    with begun:
        training.begin(0, 1)
    training.mode(training=True)
    with step:
        training.batches.run(1)
    gradients = step.live
    training.mode(training=False)
    with test:
        training.tests.run(1)
    if training.job.device.type == "cuda":
        return begun.peak + step.peak + test.peak
    return max(begun.peak, step.peak, gradients + test.peak)
