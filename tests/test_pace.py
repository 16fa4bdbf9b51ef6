"""How far runs are, and how long the rest takes."""

from pathlib import Path

import pytest

from bench import pace as module
from bench.cost import CostTable, steps_taken
from bench.graph import Graph, Run, plan
from bench.metrics import ERROR
from bench.pace import Pace, Session
from bench.recipe import Library
from tests.handmade import library
from tests.report.pages import FakeCosts


class Clock:
    """Time that passes when it is told to."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module.time, "monotonic", clock.monotonic)
    return clock


@pytest.fixture
def recipes(tmp_path: Path) -> Library:
    return library(tmp_path)


@pytest.fixture
def graph(recipes: Library) -> Graph:
    return plan(recipes, ["small"], "paper", rows=["plain", "kd"])


@pytest.fixture
def run(graph: Graph) -> Run:
    return graph.rows["small", "plain"][1]


def advance(pace: Pace, clock: Clock, steps: int, seconds: float = 1.0, epoch: int = 1, first: int = 1) -> None:
    for step in range(first, first + steps):
        clock.now += seconds
        pace.step(epoch, step)


def test_time_left_is_told_from_the_tenth_step_on(run: Run, clock: Clock) -> None:
    pace = Pace(run)
    assert (pace.share, pace.seconds_left) == (0.0, None)
    advance(pace, clock, 9, seconds=2.0)
    assert pace.seconds_left is None
    advance(pace, clock, 1, seconds=2.0, first=10)
    total = steps_taken(run)
    assert pace.seconds_left == pytest.approx(2.0 * (total - 10))
    assert pace.share == pytest.approx(10 / total)


def test_what_an_earlier_session_did_is_no_work_of_this_one(run: Run, clock: Clock) -> None:
    pace = Pace(run)
    advance(pace, clock, 10, epoch=6)
    before = 5 * pace.per_epoch
    assert pace.seconds_left == pytest.approx(steps_taken(run) - before - 10)
    assert pace.share_here == pytest.approx(9 / steps_taken(run))


def test_after_an_epoch_the_run_itself_says_what_is_left(run: Run, clock: Clock) -> None:
    pace = Pace(run)
    advance(pace, clock, 20)
    pace.epoch(90.0)
    clock.now += 30.0
    assert pace.seconds_left == 60.0
    clock.now += 100.0
    assert pace.seconds_left == 0.0


def test_synthesis_counts_the_steps_of_all_its_batches(clock: Clock) -> None:
    from bench.project import SHIPPED
    from bench.recipe import load

    found = plan(load(SHIPPED / "recipes"), ["zskd"], "short", rows=["mnist-zskd"])
    making = next(run for run in found.runs.values() if run.kind == "synthesise")
    pace = Pace(making)
    schedule = making.stage.schedule
    assert pace.total == schedule.iterations * -(-making.stage.method.count // schedule.batch) > 0
    advance(pace, clock, 10, epoch=2)
    assert pace.taken == schedule.iterations + 10


def test_an_evaluation_has_no_steps(graph: Graph) -> None:
    for run in graph.runs.values():
        if run.kind == "evaluate":
            assert Pace(run).share == 0.0


def flops(session: Session, run: Run) -> int:
    return session.flops[run.key] or 0


def test_all_runs_take_as_long_as_their_flops_at_the_rate_so_far(
    graph: Graph, recipes: Library, run: Run, clock: Clock
) -> None:
    kd = graph.rows["small", "kd"][1]
    session = Session([run, kd], FakeCosts(), recipes)
    pace = session.begin(run)
    advance(pace, clock, 9)
    assert session.seconds_left is None
    advance(pace, clock, 1, first=10)
    total = steps_taken(run)
    whole = flops(session, run) + flops(session, kd)
    assert session.seconds_left == pytest.approx(total * whole / flops(session, run) - 10)
    session.end(kd)  # left out
    assert session.seconds_left == pytest.approx(total - 10)


def test_runs_side_by_side_share_the_time(graph: Graph, recipes: Library, clock: Clock) -> None:
    first, second, third = graph.rows["small", "plain"].values()
    session = Session([first, second, third], FakeCosts(), recipes)
    paces = [session.begin(first), session.begin(second)]
    for step in range(1, 21):
        clock.now += 1.0
        for pace in paces:
            pace.step(1, step)
    total = steps_taken(first)
    # Two steps a second are left of three runs of which two are 20 steps on.
    assert session.seconds_left == pytest.approx((3 * total - 40) / 2)


def test_what_is_over_still_tells_the_rate(graph: Graph, recipes: Library, clock: Clock) -> None:
    first, second, _ = graph.rows["small", "plain"].values()
    session = Session([first, second], FakeCosts(), recipes)
    pace = session.begin(first)
    pace.step(1, 1)
    clock.now += 100.0
    pace.step(pace.total // pace.per_epoch, pace.per_epoch)
    session.end(first)
    assert session.seconds_left == pytest.approx(100.0, rel=0.01)
    session.begin(second)
    assert session.seconds_left == pytest.approx(100.0, rel=0.01)


class Uncounted:
    def get(self, *_: object) -> None:
        return None


def test_where_no_network_was_counted_nothing_is_foreseen(run: Run, recipes: Library, clock: Clock) -> None:
    costs: CostTable = Uncounted()
    session = Session([run], costs, recipes)
    advance(session.begin(run), clock, 20)
    assert session.seconds_left is None


def test_the_metric_is_that_of_the_table(run: Run, recipes: Library) -> None:
    assert Session([run], FakeCosts(), recipes).metric(run) == recipes.table("small").metric == ERROR
