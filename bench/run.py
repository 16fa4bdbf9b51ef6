"""Walks the graph: what is missing, in which order, until it is done or time is up."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from bench.graph import Run
from bench.store import Record, Store
from bench.train.progress import Progress, Stopped

if TYPE_CHECKING:
    # Planning and --dry-run walk no further than this module: without torch.
    from bench.executors.local import Local


class Watcher(Progress, Protocol):
    """Told of each run as it begins and ends, and of what happens in between."""

    def begin(self, run: Run, number: int, count: int) -> None:
        """Run ``number`` of ``count`` (from 1) begins."""

    def end(self, run: Run, record: Record) -> None:
        """A run left its record."""

    def skip(self, run: Run, why: str) -> None:
        """A run cannot be carried out now."""


@dataclass
class Summary:
    """What a walk did: records written, runs left for later, and why it ended early, if it did."""

    records: list[Record] = field(default_factory=list)
    left: list[Run] = field(default_factory=list)
    ended: Literal["done", "out of time", "interrupted"] = "done"


def todo(runs: Iterable[Run], store: Store, *, retry_diverged: bool = False) -> list[Run]:
    """The runs to carry out, sources first: those without a record, and the sources whose weights they need.

    A run that diverged has a record; it is tried again only when asked. A source whose weights are gone is trained
    again, as a replica.
    """
    missing = [run for run in runs if _missing(run, store, retry_diverged)]
    ordered: dict[str, Run] = {}

    def add(run: Run) -> None:
        for source in run.sources.values():
            if store.usable(source) is None:
                add(source)
        ordered.setdefault(run.key, run)

    for run in missing:
        add(run)
    return list(ordered.values())


def _missing(run: Run, store: Store, retry_diverged: bool) -> bool:
    record = store.current(run)
    return record is None or (retry_diverged and record.status == "diverged")


def walk(
    runs: Sequence[Run], executor: "Local", watcher: Watcher, *, seconds: float | None = None, reserve: float = 0.0
) -> Summary:
    """Carry out runs in order.

    Args:
        runs: what :func:`todo` gave.
        executor: where.
        watcher: whom to tell.
        seconds: the time there is; None is no limit. A run that does not fit ends with a checkpoint.
        reserve: seconds of it to keep back, for what comes after.
    """
    deadline = None if seconds is None else time.monotonic() + seconds - reserve
    planned = {run.key: executor.store.replica(run) for run in runs}
    summary = Summary()
    for number, run in enumerate(runs, 1):
        if summary.ended == "done" and deadline is not None and time.monotonic() >= deadline:
            summary.ended = "out of time"
        record = None
        if summary.ended == "done":
            try:
                record = _one(run, planned[run.key], (number, len(runs)), executor, watcher, deadline)
            except Stopped:
                summary.ended = "out of time"
            except KeyboardInterrupt:
                summary.ended = "interrupted"
        if record is None:
            summary.left.append(run)
        else:
            summary.records.append(record)
    return summary


def _one(
    run: Run, planned: int, place: tuple[int, int], executor: "Local", watcher: Watcher, deadline: float | None
) -> Record | None:
    """One run under its lock, to be the record number ``planned`` of its id; None if it is not carried out."""
    with executor.store.lock(run) as mine:
        why = _obstacle(run, planned, executor.store) if mine else "another process is training it"
        if why:
            watcher.skip(run, why)
            return None
        watcher.begin(run, *place)
        record = executor.execute(run, watcher, _clock(deadline))
    watcher.end(run, record)
    return record


def _clock(deadline: float | None) -> Callable[[float], bool]:
    """Whether an epoch about as long as the last one would end after the deadline."""
    return lambda seconds: deadline is not None and time.monotonic() + 1.1 * seconds > deadline


def _obstacle(run: Run, planned: int, store: Store) -> str | None:
    """Why a run cannot or need not be carried out now, seen with its lock in hand."""
    store.refresh()
    if store.replica(run) != planned:
        return "another process has trained it meanwhile"
    for edge, source in run.sources.items():
        if store.usable(source) is None:
            record = store.current(source)
            told = "diverged" if record is not None and record.status == "diverged" else "is not trained yet"
            return f"its {edge}, {source.name} seed {source.seed}, {told}"
    return None
