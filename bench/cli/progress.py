"""What a person sees while runs go on: live bars in a terminal, plain lines anywhere else."""

import sys
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Self

from bench.cli.output import complain
from bench.graph import Run
from bench.metrics import Metric
from bench.pace import Pace, Session
from bench.recipe import Library
from bench.record import EpochEntry, Record, SynthesisEntry, test_score
from bench.run import Watcher

LINE_SECONDS = 10.0


def watcher(session: Session) -> AbstractContextManager[Watcher]:
    """Bars where the output is a terminal, lines where it is a file or a pipe, or where rich is not installed."""
    if sys.stdout.isatty():
        try:
            from bench.cli.bars import Bars
        except ImportError:
            return Lines(session)
        return Bars(session)
    return Lines(session)


def tell_unreadable(library: Library, tables: Collection[str]) -> None:
    """A line for each row of some tables that cannot be read, mostly for want of a plug-in."""
    for (table, row), why in library.unreadable.items():
        if table in tables:
            complain(f"{table}/{row} is left out: {why}")


def tell_left_out(runs: Iterable[tuple[Run, str]]) -> None:
    """A line for each run that cannot be carried out."""
    for run, why in runs:
        print(f"{title(run)}: left out, {why}", flush=True)


def duration(seconds: float) -> str:
    """Seconds, minutes, hours or days, as a person says them."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def title(run: Run) -> str:
    """A run, as a person tells it from others."""
    seed = f" seed {run.seed}" if run.seed else ""
    return f"{run.name} ensembles of {run.ensemble}{seed}" if run.ensemble else f"{run.name}{seed}"


def measured(entry: EpochEntry | SynthesisEntry, metric: Metric) -> str:
    """Loss, and what the table measures on the test images, of each network in an epoch, or on images that are made."""
    losses = "/".join(_sum(net["loss"].values()) for net in entry["networks"])
    found = [_shown(_error_or(net, metric), metric) for net in entry["networks"]]
    return f"loss {losses}  {metric.label} {'/'.join(found)}{_unit(metric)}"


def _error_or(net: Mapping[str, Any], metric: Metric) -> float:
    """What a line of a curve has of a metric as it is recorded; of images that are made, how many miss their class."""
    value: float = test_score(net, metric.recorded.name) if "test_error" in net else net["train_error"]
    return value


def _shown(recorded: float | None, metric: Metric) -> str:
    return "NaN" if recorded is None else f"{metric.shown(recorded):.2f}"


def _unit(metric: Metric) -> str:
    return f" {metric.unit}" if metric.unit else ""


def _sum(terms: Collection[float | None]) -> str:
    known = [term for term in terms if term is not None]
    return f"{sum(known):.3f}" if len(known) == len(terms) else "NaN"


def time_left(pace: Pace, session: Session) -> str:
    """For example ``3.2 min left, 2.5 h for all 12 runs``; nothing before the tenth step."""
    own, every, count = pace.seconds_left, session.seconds_left, len(session.flops)
    if own is None:
        return ""
    together = f", {duration(every)} for all {count} runs" if every is not None and count > 1 else ""
    return f"{duration(own)} left{together}"


def outcome(run: Run, record: Record, metric: Metric) -> str:
    """One line on a run that ended."""
    if record.status == "diverged":
        return f"{title(run)}: diverged (NaN or infinity in the loss) at epoch {len(record.curve)}"
    return f"{title(run)}: {_result(run, record, metric)}{duration(record.seconds)}"


def _result(run: Run, record: Record, metric: Metric) -> str:
    if run.ensemble:
        mean = record.results[0].score(metric.recorded.name)["last"]
        return f"{metric.label} {_shown(mean, metric)}{_unit(metric)}, "
    if run.fidelity:
        agreement = record.curve[0]["agreement"]
        return "" if agreement is None else f"agrees with its teacher on {agreement:.2f} %, "
    if not record.results:
        return f"{run.stage.method.params['count']:,} images, "
    scores = [result.score(metric.recorded.name) for result in record.results]
    found = "/".join(f"{_shown(own['last'], metric)} (best {_shown(own['best'], metric)})" for own in scores)
    return f"{metric.label} {found}{_unit(metric)}, "


class Lines:
    """One line when a run begins, at most one every few seconds while it is running, one when it ends."""

    def __init__(self, session: Session) -> None:
        self.session, self.running = session, set[str]()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Every line is already out."""

    def begin(self, run: Run, number: int, count: int) -> "RunLines":
        """Run ``number`` of ``count`` begins."""
        self.running.add(run.key)
        _log(f"[{number}/{count}] {title(run)} ...")
        return RunLines(run, self)

    def end(self, run: Run, record: Record) -> None:
        """A run left its record."""
        self.running.remove(run.key)
        self.session.end(run)
        _log(f"    {outcome(run, record, self.session.metric(run))}")

    def skip(self, run: Run, why: str) -> None:
        """A run cannot be carried out now, or not to its end."""
        self.running.discard(run.key)
        self.session.end(run)
        _log(f"    {title(run)}: left out, {why}")

    def wait(self, run: Run, why: str) -> None:
        """A run that goes on elsewhere is waited for."""
        _log(f"    {title(run)}: waits, {why}")


class RunLines:
    """The lines of a run; they name it where it is not the only one that goes on."""

    def __init__(self, run: Run, lines: Lines) -> None:
        self.run, self.lines, self.last_line = run, lines, time.monotonic()
        self.pace, self.metric = lines.session.begin(run), lines.session.metric(run)

    def step(self, epoch: int, step: int, steps: int) -> None:
        """Long epochs say how far they are."""
        self.pace.step(epoch, step)
        if self.pace.now - self.last_line >= LINE_SECONDS:
            self._line(f"epoch {epoch}: step {step}/{steps}")

    def epoch(
        self, entry: EpochEntry | SynthesisEntry, epochs: int, images_per_second: float, seconds_left: float
    ) -> None:
        """An epoch is done."""
        self.pace.epoch(seconds_left)
        if time.monotonic() - self.last_line >= LINE_SECONDS:
            done = f"epoch {entry['epoch']}/{epochs}: {measured(entry, self.metric)}"
            self._line(f"{done}  {images_per_second:,.0f} images/s")

    def warn(self, message: str) -> None:
        """At once."""
        self._log(f"WARNING: {message}")

    def _line(self, text: str) -> None:
        left = time_left(self.pace, self.lines.session)
        self._log(f"{text}  {left}" if left else text)

    def _log(self, text: str) -> None:
        which = f"{title(self.run)}, " if len(self.lines.running) > 1 else ""
        _log(f"    {which}{text}")
        self.last_line = time.monotonic()


def _log(text: str) -> None:
    """A line of a log: who reads it later wants to know when that was."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)
