"""How long runs take on several GPUs, by simulation."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.executors.makespan import critical_path, makespan
from bench.graph import Run, plan
from tests import handmade


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Run:
    graph = plan(handmade.library(tmp_path_factory.mktemp("recipe")), ["small"], "paper", rows=["large"], seeds=[1])
    return next(iter(graph.runs.values()))


def chain_of(one: Run, sources: list[list[int]]) -> list[Run]:
    """Runs by number, each with the numbers of those before it that it takes from."""
    runs: list[Run] = []
    for i, taken in enumerate(sources):
        runs.append(replace(one, name=f"run {i}", seed=i + 1, sources={str(j): runs[j] for j in taken}))
    return runs


def test_a_teacher_and_its_students(one: Run) -> None:
    runs = chain_of(one, [[], [0], [0], [0], []])
    seconds = dict(zip([run.key for run in runs], [10.0, 4.0, 3.0, 2.0, 1.0], strict=True))
    assert makespan(runs, seconds, 1).seconds == 20
    assert makespan(runs, seconds, 2).seconds == 15  # 10, then 4 beside 3 and 2
    assert makespan(runs, seconds, 3).seconds == makespan(runs, seconds, 64).seconds == 14
    assert makespan(runs, seconds, 64).busy == pytest.approx(20 / (14 * 64))
    assert critical_path(runs, seconds) == runs[:2]


def test_nothing_takes_no_time(one: Run) -> None:
    assert makespan([], {}, 8).seconds == 0
    assert critical_path([], {}) == []


@given(data=st.data(), gpus=st.integers(1, 9))
def test_never_shorter_than_the_work_or_the_critical_path_and_within_grahams_bound(one, data, gpus) -> None:
    count = data.draw(st.integers(1, 12))
    edges = [data.draw(st.lists(st.integers(0, i - 1), max_size=2, unique=True)) if i else [] for i in range(count)]
    runs = chain_of(one, edges)
    seconds = {run.key: float(data.draw(st.integers(0, 9))) for run in runs}
    work, path = sum(seconds.values()), sum(seconds[run.key] for run in critical_path(runs, seconds))
    found = makespan(runs, seconds, gpus).seconds
    assert max(work / gpus, path) <= found + 1e-9
    assert found <= work / gpus + path * (1 - 1 / gpus) + 1e-9
    assert makespan(runs, seconds, 1).seconds == pytest.approx(work)
