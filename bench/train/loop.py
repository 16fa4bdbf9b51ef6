"""A loop over a set that never waits for the host, and what it adds up on the device; on CUDA each batch is a graph."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

WARM_UP = 3


class CapturedLoop:
    """Calls ``body(positions)`` for the positions 0 ... n-1, a batch at a time.

    ``positions``, (B,) int64, and ``step`` are counted on the device, so that the same captured graph serves every
    batch. The eager path is the reference: it runs the same body.
    """

    def __init__(self, body: Callable[[Tensor], None], n: int, batch: int, device: torch.device) -> None:
        self.body, self.n, self.batch, self.device = body, n, batch, device
        self.sizes = sorted({min(batch, n), n % batch or batch}, reverse=True)  # of batches: the last may be smaller
        self.offsets = {size: torch.arange(size, device=device) for size in self.sizes}  # of positions from the first
        self.step = torch.zeros(1, dtype=torch.int64, device=device)  # the number of the next batch in its pass
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
        self.step.fill_(first)
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
        from torch.utils.flop_counter import FlopCounterMode

        kept = [tensor.clone() for tensor in state()]
        with FlopCounterMode(display=False) as counter:
            self.step.zero_()
            self._run(min(self.batch, self.n))
        _restore(state(), kept)
        return int(counter.get_total_flops())

    def _warm_up(self, size: int, state: Callable[[], Iterable[Tensor]], stream: torch.cuda.Stream) -> None:
        kept = [tensor.clone() for tensor in state()]
        stream.wait_stream(torch.cuda.current_stream(self.device))
        try:
            with torch.cuda.stream(stream):
                for _ in range(WARM_UP):
                    self.step.zero_()
                    self._run(size)
        finally:
            torch.cuda.current_stream(self.device).wait_stream(stream)
            _restore(state(), kept)

    def _launch(self, size: int) -> None:
        if size in self.graphs:
            self.graphs[size].replay()
        else:
            self._run(size)

    def _run(self, size: int) -> None:
        self.body(torch.add(self.offsets[size], self.step, alpha=self.batch))
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

    def begin_epoch(self, first: int, steps: int) -> None:
        """Lay out the steps of an epoch, in place."""
        self.epoch[:steps].copy_(self.values[first : first + steps])

    def take(self, step: Tensor) -> None:
        """Set ``now`` to that of a step (1,) of the epoch."""
        torch.index_select(self.epoch, 0, step, out=self.current)


class Sums:
    """Scalars and arrays in float64 on the device, by name, added up over an epoch and read once at its end."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.totals: dict[str, Tensor] = {}

    def add(self, name: str, value: Tensor, times: int = 1) -> None:
        """Add a value so many times, of the same shape each time; the first one makes the sum."""
        total = self.totals.get(name)
        if total is None:
            total = self.totals[name] = torch.zeros(value.shape, dtype=torch.float64, device=self.device)
        total.add_(value, alpha=times)

    def zero(self) -> None:
        """Begin again."""
        for total in self.totals.values():
            total.zero_()

    def restore(self, values: Mapping[str, Any]) -> None:
        """Go on from what was read before, as lists where it is no scalar; all sums are zero."""
        for name, value in values.items():
            self.add(name, torch.tensor(value, dtype=torch.float64, device=self.device))

    def read(self) -> dict[str, NDArray[np.float64]]:
        """All of them, in one copy to the host: it waits for the device."""
        shapes = {name: total.shape for name, total in self.totals.items()}
        flat = torch.cat([total.reshape(-1) for total in self.totals.values()]).cpu()
        each = torch.split(flat, [shape.numel() for shape in shapes.values()])
        return {name: own.reshape(shapes[name]).numpy() for name, own in zip(shapes, each, strict=True)}


def first_reason(error: BaseException) -> str:
    """What went wrong first in a capture: the error that ends it says only that something had failed before."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error).partition("\n")[0]
