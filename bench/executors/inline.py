"""Runs in this process: one with every core of a CPU, or a few side by side on a GPU, where each has its stream."""

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch

from bench.errors import DeviceError
from bench.executors.local import Local
from bench.graph import Run
from bench.record import Record
from bench.train import device as devices
from bench.train.progress import Coroutine, Progress, Stopped

# Another run like those in progress may need a little more than they took: streams of its own, other algorithms.
MEMORY_MARGIN = 1.2


@dataclass(frozen=True)
class Submission:
    """A run as it was submitted."""

    run: Run
    progress: Progress
    deadline: float | None


@dataclass(eq=False)
class Active:
    """A run in progress; ``memory`` (bytes) was free before its first step and not after it."""

    submission: Submission
    work: Coroutine[Record]
    stream: AbstractContextManager[object]
    memory: int = 0


class Inline:
    """Carries out runs by turns, a step each, while they are waited for.

    Args:
        local: who carries them out.
        most: how many at a time, where there is memory; fewer from then on, once there was not.
    """

    def __init__(self, local: Local, most: int = 1) -> None:
        self.local, self.store, self.most = local, local.store, most
        # One a place and no more: CUDA has few streams, and would soon give two runs the same one.
        self.streams = [devices.stream_context(local.device) for _ in range(most)]
        self.active: list[Active] = []
        self.deferred: list[Submission] = []
        self.ended: list[tuple[Run, Record | None]] = []
        self.interrupted = False

    @property
    def room(self) -> bool:
        """Whether there are a place and memory for one more run like those in progress."""
        needed = MEMORY_MARGIN * max((active.memory for active in self.active), default=0)
        occupied = len(self.active) + len(self.ended)
        return occupied < self.most and (not needed or needed <= devices.free_memory(self.local.device))

    def submit(self, run: Run, progress: Progress, deadline: float | None) -> None:
        """Make the run ready, so that it holds the memory that it needs."""
        self._begin(Submission(run, progress, deadline))

    def wait(self, seconds: float = math.inf) -> tuple[Run, Record | None] | None:
        """Carry out steps until a run ends, or for so many seconds."""
        if not self.active and not self.ended:
            raise ValueError("no run was submitted")
        until = time.monotonic() + seconds
        while not self.ended:
            if time.monotonic() >= until:
                return None
            self.turn()
        return self.ended.pop(0)

    def turn(self) -> None:
        """Carry out one step of each run; those that end are in ``ended``."""
        for active in [*self.active]:
            self._step(active)

    def interrupt(self) -> None:
        """Have each run stop at its next step, with a checkpoint."""
        self.interrupted = True

    def stop(self) -> None:
        """Give up what is in progress."""
        self.active.clear()
        self.deferred.clear()

    def _begin(self, submission: Submission) -> None:
        free = devices.free_memory(self.local.device)
        work = self.local.execute(submission.run, submission.progress, self._until(submission.deadline))
        busy = [active.stream for active in self.active]
        begun = Active(submission, work, next(stream for stream in self.streams if stream not in busy))
        self.active.append(begun)
        self._step(begun)
        begun.memory = max(0, free - devices.free_memory(self.local.device))

    def _step(self, active: Active) -> None:
        try:
            with active.stream:
                next(active.work)
        except StopIteration as end:
            self._end(active, end.value)
        except Stopped:
            self._end(active, None)
        except torch.OutOfMemoryError:
            self._retreat(active)
        except BaseException:
            self.active.remove(active)
            raise

    def _end(self, active: Active, record: Record | None) -> None:
        self.active.remove(active)
        self.ended.append((active.submission.run, record))
        devices.release_memory(self.local.device)
        if self.deferred:
            self._begin(self.deferred.pop(0))

    def _retreat(self, active: Active) -> None:
        """Out of memory: fewer at a time from now on; this run resumes, from its checkpoint, when another one ends."""
        self.active.remove(active)
        if not self.active:
            device = devices.name(self.local.device)
            raise DeviceError(f"{active.submission.run.name}: {device} has too little free memory for it") from None
        self.most = len(self.active)
        self.deferred.append(active.submission)

    def _until(self, deadline: float | None) -> Callable[[float], bool]:
        """Whether something that takes so many seconds, and a tenth more, would end after ``deadline``."""
        return lambda seconds: (
            self.interrupted or (deadline is not None and time.monotonic() + 1.1 * seconds > deadline)
        )
