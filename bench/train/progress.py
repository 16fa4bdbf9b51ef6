"""A run in progress: step by step, told to whoever watches; imports no torch.

A run is a coroutine that yields after each training step that it launched, so that the host can take the next run's
step while the device is at work.
"""

import warnings
from collections.abc import Callable, Generator
from typing import Protocol, TypeAlias, TypeVar

from bench.errors import KdbenchError
from bench.graph import Run
from bench.record import EpochEntry, SynthesisEntry

T = TypeVar("T")
Coroutine: TypeAlias = Generator[None, None, T]


class Progress(Protocol):
    """What a person sees of a run; called on the host, which is ahead of the device within an epoch."""

    def step(self, epoch: int, step: int, steps: int) -> None:
        """Step ``step`` of ``steps`` of an epoch (counted from 1) was launched."""

    def epoch(
        self, entry: EpochEntry | SynthesisEntry, epochs: int, images_per_second: float, seconds_left: float
    ) -> None:
        """An epoch, or a batch of synthesised images, is done; ``entry`` is its line of the curve."""

    def warn(self, message: str) -> None:
        """Something is not as it should be, and the run continues; said once."""


class Unwatched:
    """Progress that nobody looks at."""

    def step(self, epoch: int, step: int, steps: int) -> None:
        """Say nothing."""

    def epoch(
        self, entry: EpochEntry | SynthesisEntry, epochs: int, images_per_second: float, seconds_left: float
    ) -> None:
        """Say nothing."""

    def warn(self, message: str) -> None:
        """Say nothing."""


class Stopped(Exception):  # noqa: N818  (not an error: the run resumes from its checkpoint)
    """Time is up before the run was finished; its checkpoint is written."""


class RunFailed(KdbenchError):  # noqa: N818  (what happened to one run of many)
    """A run failed for good, and the others go on."""

    def __init__(self, run: Run, why: str) -> None:
        super().__init__(f"{run.name} seed {run.seed}: {why}")
        self.run, self.why = run, why


def run_to_completion(work: Coroutine[T]) -> T:
    """Carry out a coroutine without a pause; what it returns in the end."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: T = end.value
            return result


def capture_warnings(work: Coroutine[T], hear: Callable[[str], None]) -> Coroutine[T]:
    """The same coroutine; ``hear`` is told whatever each of its steps warns of, and nobody else."""
    while True:
        with warnings.catch_warnings(record=True) as caught:
            try:
                next(work)
            except StopIteration as end:
                result: T = end.value
                return result
            finally:
                for warning in caught:
                    hear(str(warning.message))
        yield
