"""A loop over a set that never waits for the device; on CUDA each batch is a graph."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from bench.train import device as devices
from bench.train.flops import FlopCounter

WARM_UP = 3

Places = Tensor | slice
"""Where a batch stands in the order of a pass: (B,) int64 on the device, or a slice, counted on the host."""


class CapturedLoop:
    """Calls ``body(places)`` for the places 0 ... n-1, a batch at a time.

    They and ``step`` are counted on the device, so that the same captured graph serves every batch; ``on_host`` counts
    on the host, where that takes no operation. The eager path is the reference: it runs the same body.
    """

    def __init__(
        self, body: Callable[[Any], None], n: int, batch: int, device: torch.device, *, on_host: bool = False
    ) -> None:
        self.body, self.n, self.batch, self.device = body, n, batch, device
        self.sizes = sorted({min(batch, n), n % batch or batch}, reverse=True)  # of batches: the last may be smaller
        self.offsets = {size: torch.arange(size, device=device) for size in self.sizes}  # of places from the first
        # The number of the next batch in its pass: (1,) int64, or one on the host.
        self.step: Tensor | int = 0 if on_host else torch.zeros(1, dtype=torch.int64, device=device)
        self.graphs: dict[int, torch.cuda.CUDAGraph] = {}  # by the number of images in a batch

    def __len__(self) -> int:
        """Batches a pass, the last one possibly smaller."""
        return -(-self.n // self.batch)

    def run(self, steps: int) -> None:
        """Launch the first ``steps`` batches of a pass."""
        for _ in self.steps(steps):
            pass

    def steps(self, steps: int, first: int = 0) -> Iterator[int]:
        """The same one by one, where the ``first`` few need not be launched: the number over so far."""
        self._begin_at(first)
        for step in range(first, steps):
            self._launch(min(self.batch, self.n - step * self.batch))
            yield step + 1

    def capture(self, state: Callable[[], Iterable[Tensor]]) -> None:
        """Record one graph for each batch size; ``state`` gives every tensor that the body changes.

        Capture needs warm-up calls, which change weights and sums: all is put back afterwards. Graphs captured on one
        stream share what a library keeps for it (cuBLAS its workspace), and must not be replayed at the same time: they
        are captured on the current one, where they are replayed; nothing can be captured on the default stream.
        """
        pool, stream = torch.cuda.graph_pool_handle(), torch.cuda.current_stream(self.device)
        if stream == torch.cuda.default_stream(self.device):
            stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        # The larger first: the smaller one finds room in what that gave back.
        for size in self.sizes:
            self._warm_up(size, state, stream)
            self.graphs[size] = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graphs[size], pool=pool, stream=stream):
                self._run(size)

    def flops(self, state: Callable[[], Iterable[Tensor]]) -> int:
        """FLOPs of convolutions and matrix products in a full batch, counted in one call whose changes are put back.

        Of the backward pass only what is really computed counts. ``state`` is as for :meth:`capture`.
        """
        kept, counter = [tensor.clone() for tensor in state()], FlopCounter()
        with counter:
            self._begin_at(0)
            self._run(min(self.batch, self.n))
        _restore(state(), kept)
        return counter.total

    def _warm_up(self, size: int, state: Callable[[], Iterable[Tensor]], stream: torch.cuda.Stream) -> None:
        kept = [tensor.clone() for tensor in state()]
        stream.wait_stream(torch.cuda.current_stream(self.device))
        try:
            with torch.cuda.stream(stream):
                for _ in range(WARM_UP):
                    self._begin_at(0)
                    self._run(size)
        finally:
            torch.cuda.current_stream(self.device).wait_stream(stream)
            _restore(state(), kept)

    def _launch(self, size: int) -> None:
        if size in self.graphs:
            self.graphs[size].replay()
        else:
            self._run(size)

    def _begin_at(self, step: int) -> None:
        if isinstance(self.step, Tensor):
            self.step.fill_(step)
        else:
            self.step = step

    def _run(self, size: int) -> None:
        if isinstance(self.step, Tensor):
            self.body(torch.add(self.offsets[size], self.step, alpha=self.batch))
        else:
            self.body(slice(self.step * self.batch, self.step * self.batch + size))
        self.step += 1


@torch.no_grad()
def _restore(tensors: Iterable[Tensor], kept: list[Tensor]) -> None:
    """Put values back; a sum that the warm-up made for the first time begins at zero."""
    for i, tensor in enumerate(tensors):
        tensor.copy_(kept[i]) if i < len(kept) else tensor.zero_()


class Scheduled:
    """A number of each step, of a whole run on the device: ``now``, a scalar, is that of the step that goes on."""

    def __init__(self, values: Tensor, per_epoch: int, dtype: torch.dtype, device: torch.device) -> None:
        self.values = values.to(device, dtype)  # (total,)
        self.epoch = torch.zeros(per_epoch, dtype=dtype, device=device)
        self.current = torch.zeros(1, dtype=dtype, device=device)
        self.now = self.current[0]
        # The same memory, where the host can write to it.
        self.on_host = (self.epoch.numpy(), self.current.numpy()) if devices.is_host(device) else None

    def begin_epoch(self, first: int, steps: int) -> None:
        """Lay out the steps of an epoch, in place."""
        self.epoch[:steps].copy_(self.values[first : first + steps])

    def take(self, step: Tensor | int) -> None:
        """Set ``now`` to that of a step of the epoch: (1,) int64, or a number on the host, if that is the device."""
        if isinstance(step, Tensor):
            torch.index_select(self.epoch, 0, step, out=self.current)
        elif self.on_host:
            epoch, current = self.on_host
            current[0] = epoch[step]


def first_reason(error: BaseException) -> str:
    """What went wrong first in a capture: the error that ends it says only that something had failed before."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error).partition("\n")[0]
