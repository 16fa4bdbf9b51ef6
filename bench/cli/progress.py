"""What a person sees while runs go on: live bars in a terminal, plain lines anywhere else."""

import sys
import time
from collections.abc import Collection, Iterable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from bench.cli.output import complain
from bench.graph import Run
from bench.recipe import Library
from bench.record import EpochEntry, Record, SynthesisEntry
from bench.run import Watcher

LINE_SECONDS = 10.0


def watcher() -> AbstractContextManager[Watcher]:
    """Bars where the output is a terminal, lines where it is a file or a pipe, or where rich is not installed."""
    if sys.stdout.isatty():
        try:
            from bench.cli.bars import Bars
        except ImportError:
            return Lines()
        return Bars()
    return Lines()


def tell_unreadable(library: Library, tables: Collection[str]) -> None:
    """A line for each row of some tables that cannot be read, mostly for want of a plug-in."""
    for (table, row), why in library.unreadable.items():
        if table in tables:
            complain(f"{table}/{row} is left out: {why}")


def tell_left_out(runs: Iterable[tuple[Run, str]]) -> None:
    """A line for each run that cannot be carried out."""
    for run, why in runs:
        _line(f"{title(run)}: left out, {why}")


def duration(seconds: float) -> str:
    """Seconds, minutes, hours or days, as a person says them."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def title(run: Run) -> str:
    """A run, as a person tells it from others."""
    return f"{run.name} ensembles of {run.ensemble}" if run.ensemble else f"{run.name} seed {run.seed}"


def measured(entry: EpochEntry | SynthesisEntry) -> str:
    """Loss and test error of every network of an epoch; of images that are made, how many miss their class."""
    losses = "/".join(_sum(net["loss"].values()) for net in entry["networks"])
    errors = [net["test_error"] if "test_error" in net else net["train_error"] for net in entry["networks"]]
    return f"loss {losses}  error {'/'.join(f'{error:.2f}' for error in errors)} %"


def _sum(terms: Collection[float | None]) -> str:
    known = [term for term in terms if term is not None]
    return f"{sum(known):.3f}" if len(known) == len(terms) else "NaN"


def outcome(run: Run, record: Record) -> str:
    """One line on a run that ended."""
    if record.status == "diverged":
        return f"{title(run)}: diverged (NaN or infinity in the loss) at epoch {len(record.curve)}"
    return f"{title(run)}: {_result(run, record)}{duration(record.seconds)}"


def _result(run: Run, record: Record) -> str:
    if run.ensemble:
        return f"error {record.results[0].last_error:.2f} %, "
    if run.fidelity:
        agreement = record.curve[0]["agreement"]
        return "" if agreement is None else f"agrees with its teacher on {agreement:.2f} %, "
    if not record.results:
        return f"{run.stage.method.params['count']:,} images, "
    errors = (f"{result.last_error:.2f} (best {result.best_error:.2f})" for result in record.results)
    return f"error {'/'.join(errors)} %, "


class Lines:
    """One line when a run begins, at most one every few seconds while it is running, one when it ends."""

    def __init__(self) -> None:
        self.running: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Every line is already out."""

    def begin(self, run: Run, number: int, count: int) -> "RunLines":
        """Run ``number`` of ``count`` begins."""
        self.running.add(run.key)
        _line(f"[{number}/{count}] {title(run)} ...")
        return RunLines(run, self.running)

    def end(self, run: Run, record: Record) -> None:
        """A run left its record."""
        self.running.remove(run.key)
        _line(f"    {outcome(run, record)}")

    def skip(self, run: Run, why: str) -> None:
        """A run cannot be carried out now, or not to its end."""
        self.running.discard(run.key)
        _line(f"    {title(run)}: left out, {why}")

    def wait(self, run: Run, why: str) -> None:
        """A run that goes on elsewhere is waited for."""
        _line(f"    {title(run)}: waits, {why}")


class RunLines:
    """The lines of a run; they name it where it is not the only one of those ``running``."""

    def __init__(self, run: Run, running: set[str]) -> None:
        self.run, self.running, self.last_line = run, running, time.monotonic()

    def step(self, epoch: int, step: int, steps: int) -> None:
        """Long epochs say how far they are."""
        if time.monotonic() - self.last_line >= LINE_SECONDS:
            self._line(f"epoch {epoch}: step {step}/{steps}")

    def epoch(
        self, entry: EpochEntry | SynthesisEntry, epochs: int, images_per_second: float, seconds_left: float
    ) -> None:
        """An epoch is done."""
        if time.monotonic() - self.last_line >= LINE_SECONDS:
            self._line(
                f"epoch {entry['epoch']}/{epochs}: {measured(entry)}  {images_per_second:,.0f} images/s"
                f"  {duration(seconds_left)} left"
            )

    def warn(self, message: str) -> None:
        """At once."""
        self._line(f"WARNING: {message}")

    def _line(self, text: str) -> None:
        which = f"{title(self.run)}, " if len(self.running) > 1 else ""
        _line(f"    {which}{text}")
        self.last_line = time.monotonic()


def _line(text: str) -> None:
    print(text, flush=True)
