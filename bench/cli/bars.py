"""Live bars in a terminal."""

import time
from types import TracebackType
from typing import Any, Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from bench.cli.progress import duration, measured, outcome, title
from bench.graph import Run
from bench.store import Record


class Bars:
    """A bar for all runs and one for the run that goes on, with rate, loss, error and time left."""

    def __init__(self) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[told]}"),
        )
        self.progress = Progress(*columns, transient=True)
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
        self.progress.reset(self.one, description=title(run), total=None, completed=0, told="", visible=True)
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
        told = f"{measured(entry)}  {images_per_second:,.0f} images/s  {duration(seconds_left)} left"
        self.progress.update(self.one, told=told)

    def end(self, run: Run, record: Record) -> None:
        """Leave a line above the bars."""
        self.progress.console.print(outcome(run, record), highlight=False, markup=False)

    def skip(self, run: Run, why: str) -> None:
        """Leave a line above the bars."""
        self.progress.console.print(f"{title(run)}: left out, {why}", highlight=False, markup=False)
