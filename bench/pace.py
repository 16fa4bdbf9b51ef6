"""How far runs are, and how long the rest takes; imports no torch."""

import time
from collections.abc import Iterable

from bench.cost import CostTable, steps_per_epoch, steps_taken, training_flops
from bench.graph import Run
from bench.methods.base import Synthesiser
from bench.metrics import ERROR, Metric
from bench.recipe import Library

# The first steps say little: memory is allocated, kernels are chosen.
FIRST_STEPS = 10


class Pace:
    """How far a run is, and how long the rest takes at its rate since it began, or was resumed."""

    def __init__(self, run: Run) -> None:
        schedule, method = run.stage.schedule, run.stage.method
        self.per_epoch, self.total = 0, 0
        if isinstance(method, Synthesiser):
            self.per_epoch = schedule.iterations or 0
            self.total = self.per_epoch * -(-method.count // schedule.batch)
        elif run.kind == "train":
            self.per_epoch, self.total = steps_per_epoch(run), steps_taken(run)
        self.taken = self.first = 0
        self.begun, self.now = 0.0, 0.0
        self.told: tuple[float, float] | None = None  # seconds left, and when that was

    def step(self, epoch: int, step: int) -> None:
        """Step ``step`` of an epoch (both from 1) was launched."""
        self.taken, self.now = (epoch - 1) * self.per_epoch + step, time.monotonic()
        if not self.begun:
            self.first, self.begun = self.taken, self.now

    def epoch(self, seconds_left: float) -> None:
        """An epoch is done; the run itself says what is left, evaluations and earlier sessions included."""
        self.told = seconds_left, time.monotonic()

    @property
    def share(self) -> float:
        """How much of the run is done, from 0 to 1."""
        return min(1.0, self.taken / self.total) if self.total else 0.0

    @property
    def share_here(self) -> float:
        """How much of the run was done since it began, or was resumed."""
        return self.share - self.first / self.total if self.begun and self.total else 0.0

    @property
    def is_known(self) -> bool:
        """Whether there were enough steps to tell a rate."""
        return bool(self.begun) and self.taken - self.first >= FIRST_STEPS - 1

    @property
    def seconds_left(self) -> float | None:
        """Until the run ends; None before its tenth step, or its first epoch."""
        if self.told is not None:
            seconds, when = self.told
            return max(0.0, seconds - (time.monotonic() - when))
        if not self.is_known:
            return None
        return (self.now - self.begun) / (self.taken - self.first) * max(0, self.total - self.taken)


class Session:
    """The runs that were asked for: how long all of them take, and the metric that the table of each one has.

    Args:
        runs: what is to be carried out.
        costs: of their networks; each run is as much of the work as its FLOPs are.
        library: where their tables are.
    """

    def __init__(self, runs: Iterable[Run], costs: CostTable, library: Library) -> None:
        self.flops = {run.key: training_flops(run, costs) for run in runs}
        self.are_known = None not in self.flops.values()
        self.metrics: dict[str, Metric] = {name: table.metric for name, table in library.tables.items()}
        self.paces: dict[str, Pace] = {}  # of the runs that go on
        self.waiting = sum(flops or 0 for flops in self.flops.values())  # FLOPs of those that did not begin
        self.spent, self.begun = 0.0, 0.0  # FLOPs of those that are over, since the first step

    def metric(self, run: Run) -> Metric:
        """What the table of a run shows."""
        return self.metrics.get(run.name.partition("/")[0], ERROR)

    def begin(self, run: Run) -> Pace:
        """A run begins."""
        self.waiting -= self._flops(run.key)
        self.paces[run.key] = Pace(run)
        return self.paces[run.key]

    def end(self, run: Run) -> None:
        """A run is over, or left out before it began."""
        pace = self.paces.pop(run.key, None)
        if pace is None:
            self.waiting -= self._flops(run.key)
        else:
            self._see(pace)
            self.spent += self._flops(run.key) * pace.share_here

    @property
    def seconds_left(self) -> float | None:
        """Until all runs end, at the rate since the first step; None where that or the FLOPs of a run is not known.

        Runs side by side count together, and what is left when there are fewer is not foreseen.
        """
        if not self.are_known or not (self.spent or any(pace.is_known for pace in self.paces.values())):
            return None
        spent, left = self.spent, float(self.waiting)
        for key, pace in self.paces.items():
            self._see(pace)
            spent += self._flops(key) * pace.share_here
            left += self._flops(key) * (1.0 - pace.share)
        own = [pace.seconds_left or 0.0 for pace in self.paces.values()]
        return max((time.monotonic() - self.begun) / spent * left, *own, 0.0) if spent else None

    def _flops(self, key: str) -> int:
        return self.flops.get(key) or 0

    def _see(self, pace: Pace) -> None:
        if pace.begun and (not self.begun or pace.begun < self.begun):
            self.begun = pace.begun
