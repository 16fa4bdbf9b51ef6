"""What a person sees while runs go on: live bars in a terminal, plain lines anywhere else."""

import sys
import time
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from bench.graph import Run
from bench.store import Record

LINE_SECONDS = 10.0


def watcher(console: Console) -> "Lines | Bars":
    """Bars where the output is a terminal, lines where it is a file or a pipe."""
    return Bars(console) if console.is_terminal else Lines(console)


def duration(seconds: float) -> str:
    """Seconds, minutes, hours or days, as a person says them."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def _title(run: Run) -> str:
    return f"{run.name} seed {run.seed}"


def _measured(entry: dict[str, Any]) -> str:
    """Loss and test error of every network of an epoch."""
    losses = "/".join(f"{sum(net['loss'].values()):.3f}" for net in entry["networks"])
    errors = "/".join(f"{net['test_error']:.2f}" for net in entry["networks"])
    return f"loss {losses}  error {errors} %"


def _outcome(run: Run, record: Record) -> str:
    if record.status == "diverged":
        return f"{_title(run)}: diverged (NaN or infinity in the loss) at epoch {len(record.curve)}"
    errors = "/".join(f"{result.last_error:.2f} (best {result.best_error:.2f})" for result in record.results)
    return f"{_title(run)}: error {errors} %, {duration(record.seconds)}"


class Lines:
    """One line when a run begins, at most one every few seconds while it goes on, one when it ends."""

    def __init__(self, console: Console) -> None:
        self.console, self.said = console, 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sys.stdout.flush()

    def _line(self, text: str) -> None:
        self.console.print(text, soft_wrap=True, highlight=False, markup=False)
        self.said = time.monotonic()

    def begin(self, run: Run, number: int, count: int) -> None:
        """Run ``number`` of ``count`` begins."""
        self._line(f"[{number}/{count}] {_title(run)} ...")

    def step(self, epoch: int, step: int, steps: int) -> None:
        """Long epochs say how far they are."""
        if time.monotonic() - self.said >= LINE_SECONDS:
            self._line(f"    epoch {epoch}: step {step}/{steps}")

    def epoch(self, entry: dict[str, Any], epochs: int, images_per_second: float, seconds_left: float) -> None:
        """An epoch is done."""
        if time.monotonic() - self.said >= LINE_SECONDS:
            self._line(
                f"    epoch {entry['epoch']}/{epochs}: {_measured(entry)}  {images_per_second:,.0f} images/s"
                f"  {duration(seconds_left)} left"
            )

    def end(self, run: Run, record: Record) -> None:
        """A run left its record."""
        self._line(f"    {_outcome(run, record)}")

    def skip(self, run: Run, why: str) -> None:
        """A run cannot be carried out now."""
        self._line(f"    {_title(run)}: left out, {why}")


class Bars:
    """A bar for all runs and one for the run that goes on, with rate, loss, error and time left."""

    def __init__(self, console: Console) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[told]}"),
        )
        self.progress = Progress(*columns, console=console, transient=True)
        self.all: TaskID | None = None
        self.one: TaskID = self.progress.add_task("", total=1, told="", visible=False)
        self.epochs, self.moved = 1, 0.0

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def begin(self, run: Run, number: int, count: int) -> None:
        """Run ``number`` of ``count`` begins."""
        if self.all is None:
            self.all = self.progress.add_task("runs", total=count, told="")
        self.progress.update(self.all, completed=number - 1)
        self.progress.reset(self.one, description=_title(run), total=None, completed=0, told="", visible=True)
        self.epochs = run.stage.schedule.epochs or 0

    def step(self, epoch: int, step: int, steps: int) -> None:
        """Move the bar of this run, at most ten times a second."""
        if time.monotonic() - self.moved < 0.1 and step < steps:
            return
        self.moved = time.monotonic()
        total = steps * self.epochs or None
        self.progress.update(self.one, completed=(epoch - 1) * steps + step, total=total)

    def epoch(self, entry: dict[str, Any], epochs: int, images_per_second: float, seconds_left: float) -> None:
        """Show what the epoch measured."""
        told = f"{_measured(entry)}  {images_per_second:,.0f} images/s  {duration(seconds_left)} left"
        self.progress.update(self.one, told=told)

    def end(self, run: Run, record: Record) -> None:
        """Leave a line above the bars."""
        self.progress.console.print(_outcome(run, record), highlight=False, markup=False)

    def skip(self, run: Run, why: str) -> None:
        """Leave a line above the bars."""
        self.progress.console.print(f"{_title(run)}: left out, {why}", highlight=False, markup=False)
