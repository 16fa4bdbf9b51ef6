"""Worker processes: what comes back from them, and how they end."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from bench.cost import Costs
from bench.errors import DataError, DeviceError
from bench.executors.processes import Processes
from bench.graph import Run, plan
from bench.recipe import load
from bench.store import Store


class Told:
    """Progress that remembers."""

    def __init__(self) -> None:
        self.epochs, self.steps = [], []

    def step(self, epoch, step, steps):
        self.steps.append((epoch, step, steps))

    def epoch(self, entry, epochs, images_per_second, seconds_left):
        self.epochs.append((entry["epoch"], epochs))


@pytest.fixture
def runs(project: Path) -> list[Run]:
    """The two seeds of a row."""
    return list(plan(load(project / "recipes"), ["tiny"], "paper").rows["tiny", "vanilla"].values())


@pytest.fixture
def executor(project: Path):
    executor = Processes(
        Store(project / "results"), Costs(project / "costs.json", {}), project / "data", count=2, threads=1
    )
    yield executor
    executor.stop()
    assert multiprocessing.active_children() == []


def test_progress_and_record_come_back_and_a_worker_is_used_again(executor, runs):
    for run in runs:
        told = Told()
        executor.submit(run, told, None)
        ended, record = executor.wait()
        assert ended is run
        assert (record.id, record.seed, record.replica) == (run.id, run.seed, 1)
        assert told.epochs == [(epoch, 4) for epoch in range(1, 5)]
        assert told.steps[-1] == (4, 5, 5)
        assert executor.store.usable(run)[0].artifact == record.artifact
    assert len(executor.workers) == 1


def test_there_is_room_for_as_many_as_asked(executor, runs):
    assert executor.room
    executor.submit(runs[0], Told(), time.monotonic())
    assert executor.room
    executor.submit(runs[1], Told(), time.monotonic())
    assert not executor.room
    assert {executor.wait()[0], executor.wait()[0]} == set(runs)
    assert len(executor.workers) == 2


def test_a_run_that_is_out_of_time_leaves_a_checkpoint_and_no_record(executor, runs):
    executor.submit(runs[0], Told(), time.monotonic())
    assert executor.wait() == (runs[0], None)
    assert executor.store.checkpoint(runs[0]).is_file()
    assert executor.room


@pytest.mark.parametrize("before_the_run", [True, False])
def test_a_worker_that_is_killed_is_an_error(executor, runs, before_the_run):
    executor.submit(runs[0], Told(), None)
    if before_the_run:
        executor.wait()
    worker = executor.workers[0].process
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    with pytest.raises(DeviceError, match=r"tiny/vanilla seed \d: the process that trained it was killed \(SIGKILL\)"):  # noqa: PT012
        if before_the_run:
            executor.submit(runs[1], Told(), None)
        executor.wait()


def test_a_fault_of_a_run_is_raised_here(project, executor):
    recipe = project / "recipes" / "tiny" / "table.yaml"
    recipe.write_text(recipe.read_text().replace("set: synthetic10", "set: cifar10"), encoding="utf-8")
    run = plan(load(project / "recipes"), ["tiny"], "paper").rows["tiny", "vanilla"][1]
    executor.submit(run, Told(), None)
    with pytest.raises(DataError, match="kdbench prepare cifar10"):
        executor.wait()
