"""Live bars in a terminal."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from bench.cli.output import terminal
from bench.cli.progress import duration, measured, outcome, title
from bench.graph import Run
from bench.record import EpochEntry, Record, SynthesisEntry
from bench.text import visible


class Bars:
    """One line on how many of the runs are over, and for each running one its loss, error, rate and time left."""

    def __init__(self) -> None:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=16),
            MofNCompleteColumn(),
            TextColumn("{task.fields[text]}", markup=False),
        )
        self.progress = Progress(*columns, console=Console(file=terminal()), transient=True)
        self.all = self.progress.add_task("all", text="runs", visible=False)
        self.running: dict[str, Bar] = {}

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def begin(self, run: Run, number: int, count: int) -> "Bar":
        """Run ``number`` of ``count`` begins."""
        self.progress.update(self.all, total=count, visible=True)
        self.running[run.key] = Bar(self.progress, run)
        return self.running[run.key]

    def end(self, run: Run, record: Record) -> None:
        """Leave a line above the bars."""
        self.running.pop(run.key).remove()
        self._over(outcome(run, record))

    def skip(self, run: Run, why: str) -> None:
        """Leave a line above the bars."""
        if run.key in self.running:
            self.running.pop(run.key).remove()
        self._over(f"{title(run)}: left out, {why}")

    def wait(self, run: Run, why: str) -> None:
        """Leave a line above the bars."""
        self._print(f"{title(run)}: waits, {why}")

    def _over(self, message: str) -> None:
        self.progress.advance(self.all)
        self._print(message)

    def _print(self, message: str) -> None:
        self.progress.console.print(visible(message), highlight=False, markup=False)


class Bar:
    """The line of a run that is running."""

    def __init__(self, progress: Progress, run: Run) -> None:
        self.progress, self.epochs = progress, run.stage.schedule.epochs or 0
        self.title = visible(title(run))
        self.task = progress.add_task(self.title, total=None, text="epoch 1")
        self.measured, self.moved = "", 0.0

    def step(self, epoch: int, step: int, steps: int) -> None:
        """Move the bar, at most ten times a second."""
        if time.monotonic() - self.moved < 0.1 and step < steps:
            return
        self.moved = time.monotonic()
        text = f"epoch {epoch}/{self.epochs}" if self.epochs else f"epoch {epoch}"
        total = steps * self.epochs or None
        done = (epoch - 1) * steps + step
        self.progress.update(self.task, completed=done, total=total, text=f"{text}{self.measured}")

    def epoch(
        self, entry: EpochEntry | SynthesisEntry, epochs: int, images_per_second: float, seconds_left: float
    ) -> None:
        """Show what the epoch measured."""
        self.measured = f"  {measured(entry)}  {images_per_second:,.0f} images/s  {duration(seconds_left)} left"
        self.progress.update(self.task, text=f"epoch {entry['epoch']}/{epochs}{self.measured}")

    def warn(self, message: str) -> None:
        """Leave a line above the bars."""
        self.progress.console.print(visible(f"{self.title}: WARNING: {message}"), highlight=False, markup=False)

    def remove(self) -> None:
        """The run is over."""
        self.progress.remove_task(self.task)
