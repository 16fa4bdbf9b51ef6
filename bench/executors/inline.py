"""Runs in this process: one with every core of a CPU, or a few side by side on a GPU, where each has its stream."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch

from bench.errors import DeviceError
from bench.executors.local import Local
from bench.graph import Run
from bench.store import Record
from bench.train import device
from bench.train.progress import Progress, Stopped
from bench.train.turns import Turns

# By arithmetic the memory's speed is the limit from about four runs on; `make benchmark-gpu` measures it.
MOST_ON_GPU = 4
# Another run like those that go on may need a little more than they took: streams of its own, other algorithms.
MEMORY_MARGIN = 1.2


@dataclass(frozen=True)
class _Given:
    """A run as it was submitted."""

    run: Run
    progress: Progress
    deadline: float | None


@dataclass(eq=False)
class _Going:
    """A run in progress; ``took`` is the memory (bytes) that was free before its first turn and not after it."""

    given: _Given
    work: Turns[Record]
    queue: AbstractContextManager[object]
    took: int = 0


class Inline:
    """Carries out runs by turns, a step each; they go on while they are waited for.

    Args:
        local: who carries them out.
        most: how many at a time, where there is memory; fewer from then on, once there was not.
    """

    def __init__(self, local: Local, most: int = 1) -> None:
        self.local, self.store, self.most = local, local.store, most
        # One a place and no more: CUDA has few streams, and would soon give two runs the same one.
        self.queues = [device.queue(local.device) for _ in range(most)]
        self.going: list[_Going] = []
        self.put_off: list[_Given] = []
        self.ended: list[tuple[Run, Record | None]] = []

    @property
    def room(self) -> bool:
        """Whether there are a place and memory for one more run like those that go on."""
        needed = MEMORY_MARGIN * max((going.took for going in self.going), default=0)
        taken = len(self.going) + len(self.ended)
        return taken < self.most and (not needed or needed <= device.free_memory(self.local.device))

    def submit(self, run: Run, progress: Progress, deadline: float | None) -> None:
        """Make the run ready, so that it holds the memory that it needs."""
        self._begin(_Given(run, progress, deadline))

    def wait(self) -> tuple[Run, Record | None]:
        """Take turns until a run ends."""
        if not self.going and not self.ended:
            raise ValueError("no run was submitted")
        while not self.ended:
            for going in [*self.going]:
                self._turn(going)
        return self.ended.pop(0)

    def stop(self) -> None:
        """Give up what goes on."""
        self.going.clear()
        self.put_off.clear()

    def _begin(self, given: _Given) -> None:
        where = self.local.device
        free = device.free_memory(where)
        work = self.local.execute(given.run, given.progress, _until(given.deadline))
        taken = [going.queue for going in self.going]
        begun = _Going(given, work, next(queue for queue in self.queues if queue not in taken))
        self.going.append(begun)
        self._turn(begun)
        begun.took = max(0, free - device.free_memory(where))

    def _turn(self, going: _Going) -> None:
        try:
            with going.queue:
                next(going.work)
        except StopIteration as end:
            self._end(going, end.value)
        except Stopped:
            self._end(going, None)
        except torch.OutOfMemoryError:
            self._retreat(going)
        except BaseException:
            self.going.remove(going)
            raise

    def _end(self, going: _Going, record: Record | None) -> None:
        self.going.remove(going)
        self.ended.append((going.given.run, record))
        device.give_back(self.local.device)
        if self.put_off:
            self._begin(self.put_off.pop(0))

    def _retreat(self, going: _Going) -> None:
        """Out of memory: fewer at a time from now on; this run goes on, from its checkpoint, when another one ends."""
        self.going.remove(going)
        if not self.going:
            where = device.name(self.local.device)
            raise DeviceError(f"{going.given.run.name}: {where} has too little free memory for it") from None
        self.most = len(self.going)
        self.put_off.append(going.given)


def _until(deadline: float | None) -> Callable[[float], bool]:
    """Whether something that takes so many seconds, and a tenth more, would end after ``deadline``."""
    return lambda seconds: deadline is not None and time.monotonic() + 1.1 * seconds > deadline
