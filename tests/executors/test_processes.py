"""Worker processes: what comes back from them, and how they end."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest
import torch

from bench import registry
from bench.counting import Costs
from bench.errors import DataError, DeviceError
from bench.executors.processes import Processes
from bench.graph import Run, plan
from bench.recipe import load
from bench.record import Record
from bench.store import Store
from tests.told import Told

CPU = torch.device("cpu")


def planned(project: Path) -> list[Run]:
    """The two seeds of a row."""
    return list(plan(load(project / "recipes"), ["tiny"], "paper").rows["tiny", "vanilla"].values())


@pytest.fixture
def runs(project: Path) -> list[Run]:
    return planned(project)


@pytest.fixture
def executor(project: Path):
    executor = Processes(
        Store(project / "results"), Costs(project / "costs.json", {}), project / "data", devices=[CPU, CPU], threads=1
    )
    yield executor
    executor.stop()
    assert multiprocessing.active_children() == []


def test_progress_records_and_a_fault_come_back_from_a_worker_that_is_used_again(project, executor, runs):
    for run in runs:
        told = Told()
        executor.submit(run, told, None)
        ended, record = executor.wait()
        assert ended is run
        assert (record.id, record.seed, record.replica) == (run.id, run.seed, 1)
        assert told.epochs == [(epoch, 4) for epoch in range(1, 5)]
        assert told.steps[-1] == (4, 5, 5)
        assert executor.store.available_artifact(run)[0].artifact == record.artifact
    recipe = project / "recipes" / "tiny" / "table.yaml"
    recipe.write_text(recipe.read_text().replace("set: synthetic10", "set: cifar10"), encoding="utf-8")
    executor.submit(planned(project)[0], Told(), None)
    with pytest.raises(DataError, match="kdbench prepare cifar10"):
        executor.wait()
    assert len(executor.workers) == 1


def test_there_is_room_for_as_many_as_asked_and_what_is_out_of_time_leaves_a_checkpoint(executor, runs):
    assert executor.room
    executor.submit(runs[0], Told(), time.monotonic())
    assert executor.room
    executor.submit(runs[1], Told(), time.monotonic())
    assert not executor.room
    assert {executor.wait(), executor.wait()} == {(run, None) for run in runs}
    assert all(executor.store.checkpoint(run).is_file() for run in runs)
    assert executor.room
    assert len(executor.workers) == 2


@pytest.mark.slow
def test_a_worker_has_several_runs_at_a_time_as_on_a_gpu_and_each_leaves_what_it_leaves_alone(project, runs, tmp_path):
    library = load(project / "recipes")
    every = [run for run in plan(library, ["tiny"], "paper").runs.values() if not run.sources][:5]
    alone = Processes(Store(tmp_path), Costs(project / "costs.json", {}), project / "data", devices=[CPU], threads=1)
    several = Processes(
        Store(project / "results"), Costs(project / "costs.json", {}), project / "data", devices=[CPU, CPU], threads=1,
        each=2,
    )  # fmt: skip
    found: list[dict[str, Record]] = []
    for executor in (alone, several):
        try:
            records, waiting, told = {}, [*every], {run.key: Told() for run in every}
            while len(records) < len(every):
                while waiting and executor.room:
                    run = waiting.pop(0)
                    executor.submit(run, told[run.key], None)
                run, record = executor.wait()
                records[run.key] = record
                assert told[run.key].epochs[-1] == (len(record.curve), len(record.curve))
            found.append(records)
            assert len(executor.workers) == len(executor.devices)
        finally:
            executor.stop()
    assert {record.side_by_side for record in found[0].values()} == {1}
    # Two workers of one device, each with two runs.
    assert {record.side_by_side for record in found[1].values()} == {4}
    for key, record in found[0].items():
        assert found[1][key].artifact == record.artifact
        assert [e["networks"] for e in found[1][key].curve] == [e["networks"] for e in record.curve]


def test_runs_are_shared_among_workers_before_one_has_two(project, runs, monkeypatch):
    executor = Processes(
        Store(project / "results"), Costs(project / "costs.json", {}), project / "data", devices=[CPU, CPU], threads=1,
        each=2,
    )  # fmt: skip
    try:
        for run in runs:
            executor.submit(run, Told(), time.monotonic())
        assert len({task.worker.process.pid for task in executor.tasks.values()}) == 2
        assert executor.room
        assert {executor.wait(), executor.wait()} == {(run, None) for run in runs}
    finally:
        executor.stop()


PLUGIN = """
from dataclasses import dataclass
from bench.methods.vanilla import Vanilla

@dataclass(frozen=True)
class Halved(Vanilla):
    name = "halved"

    def loss(self, k, batch, outputs):
        return {"half": super().loss(k, batch, outputs)["ce"] / 2}
"""


@pytest.mark.usefixtures("fresh_registry")
def test_a_worker_knows_the_plug_ins(project):
    plugins, recipe = project / "plugins", project / "recipes" / "tiny" / "table.yaml"
    plugins.mkdir()
    (plugins / "halved.py").write_text(PLUGIN, encoding="utf-8")
    recipe.write_text(recipe.read_text().replace("method: vanilla", "method: halved"), encoding="utf-8")
    registry.load_plugins(plugins)
    run = planned(project)[0]
    costs = Costs(project / "costs.json", {})
    executor = Processes(Store(project / "results"), costs, project / "data", devices=[CPU], threads=1, plugins=plugins)
    try:
        executor.submit(run, Told(), None)
        _, record = executor.wait()
    finally:
        executor.stop()
    assert list(record.curve[0]["networks"][0]["loss"]) == ["half"]
    assert record.plugins == registry.described(run.versions)
    assert record.plugins["method halved"]["name"] == "halved.py"


@pytest.mark.parametrize("before_the_run", [True, False])
def test_a_worker_that_is_killed_is_an_error(executor, runs, before_the_run):
    executor.submit(runs[0], Told(), time.monotonic() if before_the_run else None)
    if before_the_run:
        executor.wait()
    worker = executor.workers[0].process
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    with pytest.raises(DeviceError, match=r"tiny/vanilla seed \d: the process that trained it was killed \(SIGKILL\)"):  # noqa: PT012
        if before_the_run:
            executor.submit(runs[1], Told(), None)
        executor.wait()
