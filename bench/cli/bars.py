"""Live bars in a terminal."""

import time
from types import TracebackType
from typing import Any, Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from bench.cli.progress import duration, measured, outcome, title
from bench.graph import Run
from bench.store import Record


class Bars:
    """Two lines: how many of the runs are done, and the run that goes on, with loss, error, rate and time left."""

    def __init__(self) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=16),
            MofNCompleteColumn(),
            TextColumn("{task.fields[told]}"),
        )
        self.progress = Progress(*columns, transient=True)
        self.runs: TaskID | None = None
        self.steps: TaskID | None = None
        self.epochs, self.moved = 0, 0.0

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def begin(self, run: Run, number: int, count: int) -> None:
        """Run ``number`` of ``count`` begins."""
        if self.runs is None or self.steps is None:
            self.runs = self.progress.add_task("", total=count, told="runs")
            self.steps = self.progress.add_task("", told="")
        self.progress.update(self.runs, description=title(run), completed=number - 1)
        self.progress.reset(self.steps, total=None, description="epoch 1", told="")
        self.epochs = run.stage.schedule.epochs or 0

    def step(self, epoch: int, step: int, steps: int) -> None:
        """Move the bar of this run, at most ten times a second."""
        if self.steps is None or (time.monotonic() - self.moved < 0.1 and step < steps):
            return
        self.moved = time.monotonic()
        said = f"epoch {epoch}/{self.epochs}" if self.epochs else f"epoch {epoch}"
        total = steps * self.epochs or None
        self.progress.update(self.steps, description=said, completed=(epoch - 1) * steps + step, total=total)

    def epoch(self, entry: dict[str, Any], epochs: int, images_per_second: float, seconds_left: float) -> None:
        """Show what the epoch measured."""
        told = f"{measured(entry)}  {images_per_second:,.0f} images/s  {duration(seconds_left)} left"
        if self.steps is not None:
            self.progress.update(self.steps, told=told)

    def end(self, run: Run, record: Record) -> None:
        """Leave a line above the bars."""
        self.progress.console.print(outcome(run, record), highlight=False, markup=False)

    def skip(self, run: Run, why: str) -> None:
        """Leave a line above the bars."""
        self.progress.console.print(f"{title(run)}: left out, {why}", highlight=False, markup=False)
