"""Walks the graph: what is missing, in which order, until it is done or time is up."""

import math
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Literal, Protocol

from bench.graph import Run, followers
from bench.record import Record
from bench.running import telling
from bench.store import Store
from bench.todo import obstacle
from bench.train.progress import Progress, RunFailed

# How often it is looked whether another process is done with a run; of fifty such runs half as often.
LOOK_SECONDS = 2.0
_MANY = 50


class Executor(Protocol):
    """Carries out runs, as many at a time as it has room for."""

    store: Store
    interrupted: bool

    @property
    def room(self) -> bool:
        """Whether it can take one more run now."""

    def submit(self, run: Run, progress: Progress, deadline: float | None) -> None:
        """Take a run whose sources are there, to stop it with a checkpoint at ``deadline`` on the monotonic clock."""

    def wait(self, seconds: float = math.inf) -> tuple[Run, Record | None] | None:
        """The next run that ends, of those submitted, with its record; None for a record if it stopped before its end.

        None if none ends within so many seconds. Tells their progress.

        Raises:
            RunFailed: a run failed for good; the others go on, and are to be waited for.
            KdbenchError: a run failed, and the walk is to end with it.
        """

    def interrupt(self) -> None:
        """Have whatever goes on stop at once, with a checkpoint; a signal handler may say so."""

    def stop(self) -> None:
        """Give up whatever goes on; each run keeps its last checkpoint."""


class Watcher(Protocol):
    """Told of each run as it begins and ends."""

    def begin(self, run: Run, number: int, count: int) -> Progress:
        """Run ``number`` of ``count`` (from 1) begins; what is returned is told of what happens in it."""

    def end(self, run: Run, record: Record) -> None:
        """A run left its record."""

    def skip(self, run: Run, why: str) -> None:
        """A run cannot be carried out now, or not to its end."""

    def wait(self, run: Run, why: str) -> None:
        """A run, and what takes from it, is waited for."""


Ended = Literal["done", "out of time", "interrupted", "terminated"]


@dataclass
class Summary:
    """What a walk did: records written, runs left for later, those that failed, and why it ended early, if it did."""

    records: list[Record] = field(default_factory=list)
    left: list[Run] = field(default_factory=list)
    failed: list[RunFailed] = field(default_factory=list)
    ended: Ended = "done"


def walk(
    runs: Sequence[Run],
    executor: Executor,
    watcher: Watcher,
    *,
    seconds: float | None = None,
    reserve: float = 0.0,
    wait: bool = False,
) -> Summary:
    """Carry out runs in order, each as soon as its sources are there and the executor has room.

    Args:
        runs: what :func:`bench.todo.todo` gave.
        executor: where; it is stopped in the end.
        watcher: whom to tell.
        seconds: the time there is; None is no limit. A run that does not fit ends with a checkpoint.
        reserve: seconds of it to keep back, for what comes after.
        wait: whether to wait for what other processes train; else it is left out, with what takes from it.
    """
    deadline = None if seconds is None else time.monotonic() + seconds - reserve
    walking = _Walk(runs, executor, watcher, deadline, wait)
    try:
        while walking.submit():
            walking.take_next()
    except KeyboardInterrupt:
        walking.ended = "interrupted"
    finally:
        executor.stop()
        walking.unlock()
    done = {record.key for record in walking.records}
    return Summary(walking.records, [run for run in runs if run.key not in done], walking.failed, walking.ended)


class _Walk:
    """Which runs wait for which, and which go on, each under its lock."""

    def __init__(
        self, runs: Sequence[Run], executor: Executor, watcher: Watcher, deadline: float | None, wait: bool
    ) -> None:
        self.executor, self.store, self.watcher, self.deadline = executor, executor.store, watcher, deadline
        self.runs, self.wait = runs, wait
        self.number = {run.key: number for number, run in enumerate(runs, 1)}
        self.planned = {run.key: self.store.replica(run) for run in runs}
        self.lacks, self.followers = self._edges()
        self.ready = [self.number[run.key] for run in runs if not self.lacks[run.key]]  # a heap: in the order asked for
        self.elsewhere: list[int] = []  # what another process trains, and is waited for
        self.waited_for: set[str] = set()
        self.looked = time.monotonic()
        self.locks: dict[str, ExitStack] = {}
        self.records: list[Record] = []
        self.failed: list[RunFailed] = []
        self.ended: Ended = "done"

    def _edges(self) -> tuple[dict[str, set[str]], dict[str, list[str]]]:
        """For each run the planned sources whose weights are still to come, and for each source who takes from it."""
        sources = {s.key: s for run in self.runs for s in run.sources.values() if s.key in self.number}
        to_come = {key for key, source in sources.items() if self.store.available_artifact(source) is None}
        lacks = {run.key: {s.key for s in run.sources.values()} & to_come for run in self.runs}
        return lacks, followers(lacks)

    def submit(self) -> bool:
        """Begin what is ready, while there are room and time; whether anything goes on now, or is waited for."""
        self._look_elsewhere()
        while self.ready:
            if self._is_over() or not self.executor.room:
                break
            self._begin(self.runs[heappop(self.ready) - 1])
        return bool(self.locks) or (self.ended == "done" and bool(self.elsewhere))

    def _is_over(self) -> bool:
        """Whether nothing is to begin any more."""
        if self.executor.interrupted:
            self.ended = "terminated"
        elif self.deadline is not None and time.monotonic() >= self.deadline:
            self.ended = "out of time"
        return self.ended != "done"

    def take_next(self) -> None:
        """Wait until a run ends; or for a while, where one that is trained elsewhere could be begun meanwhile."""
        if not self.locks:
            time.sleep(min(LOOK_SECONDS, max(0.0, (self.deadline or math.inf) - time.monotonic())))
            self._is_over()
            return
        try:
            ended = self.executor.wait(LOOK_SECONDS) if self.elsewhere and self.executor.room else self.executor.wait()
        except RunFailed as failure:
            self.failed.append(failure)
            self._leave(failure.run)
            self.watcher.skip(failure.run, f"it failed: {failure.why}")
            return
        if ended is not None:
            self._take(*ended)

    def _take(self, run: Run, record: Record | None) -> None:
        """A run ended."""
        if record is not None:
            self.records.append(record)
            self.watcher.end(run, record)
        else:
            self.ended = "terminated" if self.executor.interrupted else "out of time"
            kept = ", and keeps a checkpoint" if self.store.checkpoint(run).is_file() else ""
            self.watcher.skip(run, f"it was stopped{kept}")
        self._leave(run)

    def unlock(self) -> None:
        """Let go of the runs that were given up."""
        for lock in self.locks.values():
            lock.close()

    def _begin(self, run: Run) -> None:
        """Submit a run under its lock, unless it cannot or need not be carried out."""
        lock = self.locks[run.key] = ExitStack()
        if not lock.enter_context(self.store.lock(run)):
            self._held_elsewhere(run)
        elif why := obstacle(run, self.planned[run.key], self.store):
            self._skip(run, why)
        else:
            progress = self.watcher.begin(run, self.number[run.key], len(self.number))
            told = lock.enter_context(telling(self.store.root, run, progress))
            self.executor.submit(run, told, self.deadline)

    def _held_elsewhere(self, run: Run) -> None:
        why = f"{self.store.holder(run) or 'another process'} is training it"
        if not self.wait:
            self._skip(run, why)
            return
        self.locks.pop(run.key).close()
        self.elsewhere.append(self.number[run.key])
        if run.key not in self.waited_for:
            self.waited_for.add(run.key)
            self.watcher.wait(run, why)

    def _look_elsewhere(self) -> None:
        """Try again, once in a while, what other processes had; it is done there, or is now to be done here."""
        if time.monotonic() - self.looked >= LOOK_SECONDS * (1 + len(self.elsewhere) / _MANY):
            self.looked = time.monotonic()
            while self.elsewhere:
                heappush(self.ready, self.elsewhere.pop())

    def _skip(self, run: Run, why: str) -> None:
        self._leave(run)
        self.watcher.skip(run, why)

    def _leave(self, run: Run) -> None:
        """A run is over, one way or another: what waited for it is ready, or cannot be carried out."""
        self.locks.pop(run.key).close()
        for key in self.followers.get(run.key, ()):
            self.lacks[key].discard(run.key)
            if not self.lacks[key]:
                heappush(self.ready, self.number[key])
