"""Live bars in a terminal."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from bench.cli.output import terminal
from bench.cli.progress import duration, measured, outcome, title
from bench.graph import Run
from bench.pace import Session
from bench.record import EpochEntry, Record, SynthesisEntry
from bench.text import visible


class Bars:
    """One line on how many of the runs are over, and for each running one its loss, error, rate and time left."""

    def __init__(self, session: Session) -> None:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=16),
            MofNCompleteColumn(),
            TextColumn("{task.fields[text]}", markup=False),
        )
        self.progress = Progress(*columns, console=Console(file=terminal()), transient=True)
        self.all = self.progress.add_task("all", text="runs", visible=False)
        self.session, self.running = session, dict[str, Bar]()

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
        self.running[run.key] = Bar(self, run)
        return self.running[run.key]

    def end(self, run: Run, record: Record) -> None:
        """Leave a line above the bars."""
        self.running.pop(run.key).remove()
        self._over(run, outcome(run, record, self.session.metric(run)))

    def skip(self, run: Run, why: str) -> None:
        """Leave a line above the bars."""
        if run.key in self.running:
            self.running.pop(run.key).remove()
        self._over(run, f"{title(run)}: left out, {why}")

    def wait(self, run: Run, why: str) -> None:
        """Leave a line above the bars."""
        self._print(f"{title(run)}: waits, {why}")

    def _over(self, run: Run, message: str) -> None:
        self.session.end(run)
        self.progress.advance(self.all)
        self._print(message)

    def _print(self, message: str) -> None:
        self.progress.console.print(visible(message), highlight=False, markup=False)


class Bar:
    """The line of a run that is running."""

    def __init__(self, bars: Bars, run: Run) -> None:
        self.bars, self.progress, self.epochs = bars, bars.progress, run.stage.schedule.epochs or 0
        self.pace, self.metric = bars.session.begin(run), bars.session.metric(run)
        self.title = visible(title(run))
        self.task = self.progress.add_task(self.title, total=None, text="epoch 1")
        self.measured, self.moved = "", 0.0

    def step(self, epoch: int, step: int, steps: int) -> None:
        """Move the bar, at most ten times a second."""
        self.pace.step(epoch, step)
        if self.pace.now - self.moved < 0.1 and step < steps:
            return
        self.moved = self.pace.now
        self._show(f"epoch {epoch}/{self.epochs}" if self.epochs else f"epoch {epoch}")

    def epoch(
        self, entry: EpochEntry | SynthesisEntry, epochs: int, images_per_second: float, seconds_left: float
    ) -> None:
        """Show what the epoch measured."""
        self.pace.epoch(seconds_left)
        self.measured = f"  {measured(entry, self.metric)}  {images_per_second:,.0f} images/s"
        self._show(f"epoch {entry['epoch']}/{epochs}")

    def _show(self, epoch: str) -> None:
        left, every = self.pace.seconds_left, self.bars.session.seconds_left
        text = f"{epoch}{self.measured}{'' if left is None else f'  {duration(left)} left'}"
        self.progress.update(self.task, completed=self.pace.taken, total=self.pace.total or None, text=text)
        if every is not None:
            self.progress.update(self.bars.all, text=f"runs  {duration(every)} left")

    def warn(self, message: str) -> None:
        """Leave a line above the bars."""
        self.progress.console.print(visible(f"{self.title}: WARNING: {message}"), highlight=False, markup=False)

    def remove(self) -> None:
        """The run is over."""
        self.progress.remove_task(self.task)
