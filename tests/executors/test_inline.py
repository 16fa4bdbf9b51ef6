"""Runs by turns in one process: each leaves what it leaves alone, whatever goes on beside it."""

import json
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bench.build import Builder
from bench.counting import Costs
from bench.errors import DataError, DeviceError
from bench.executors import local, policy
from bench.executors.inline import Inline
from bench.executors.local import Local
from bench.graph import Run, plan
from bench.recipe import load
from bench.record import Record
from bench.run import walk
from bench.store import Store
from bench.todo import todo
from bench.train import artifacts, device
from bench.train.progress import Unwatched

CPU = torch.device("cpu")


class Watcher:
    """Remembers which runs went on at the same time."""

    def __init__(self) -> None:
        self.going, self.together = set(), []

    def begin(self, run, number, count):
        self.going.add(run.key)
        self.together.append(len(self.going))
        return Unwatched()

    def end(self, run, record):
        self.going.remove(run.key)

    def skip(self, run, why):
        raise AssertionError(why)


def planned(project: Path) -> dict[str, Run]:
    """All runs of the tiny table in float64, by row and seed; a teacher is asked of few enough views for a cache.

    Two epochs of three steps, the last batch smaller: float64 is slow.
    """
    recipe = project / "recipes" / "tiny" / "table.yaml"
    text = recipe.read_text().replace("crop_padding: 2", "crop_padding: 0").replace("float32", "float64")
    text = text.replace("epochs: 4", "epochs: 2").replace("drops: [3]", "drops: [1]")
    recipe.write_text(text.replace("fraction: 0.1", "fraction: 0.05"), encoding="utf-8")
    runs = plan(load(project / "recipes"), ["tiny"], "paper").runs.values()
    return {f"{run.name.removeprefix('tiny/')}#{run.seed}": run for run in runs}


def executor(folder: Path, most: int) -> Inline:
    costs = Costs(folder / "costs.json", {})
    return Inline(Local(Store(folder), costs, Builder(folder / "data", CPU), most), most)


def carried_out(runs: list[Run], folder: Path, most: int) -> tuple[dict[str, Record], list[int]]:
    """Records by key, and how many runs went on whenever one began."""
    made, watcher = executor(folder, most), Watcher()
    summary = walk(todo(runs, made.store), made, watcher)
    assert summary.ended == "done"
    return {record.key: record for record in summary.records}, watcher.together


@pytest.mark.slow
def test_runs_side_by_side_leave_what_they_leave_alone(project, monkeypatch):
    cached = []
    monkeypatch.setattr(policy, "is_worthwhile", lambda *said: cached.append(said) or True)
    runs = list(planned(project).values())
    alone, one_at_a_time = carried_out(runs, project / "alone", 1)
    together, at_a_time = carried_out(runs, project / "together", 3)
    assert len(runs) == len(alone) == 6
    assert set(one_at_a_time) == {1}
    assert max(at_a_time) == 3
    assert cached
    for key, record in alone.items():
        # A teacher is asked by whichever run comes first: what a run spent depends on the others.
        untold = {"seconds": 0, "peak_memory": 0, "finished": "", "commit": None, "flops_spent": None}
        own, other = replace(record, side_by_side=3, **untold), replace(together[key], **untold)
        for found in (own, other):
            for entry in found.curve:
                del entry["seconds"]
        assert own == other  # the digest of the artifact among the rest: weights and logits, bit by bit


def test_without_memory_for_one_more_like_it_there_is_no_room(project, monkeypatch):
    runs, free = planned(project), iter([1000, 600, 479, 481])
    monkeypatch.setattr(device, "free_memory", lambda where: next(free))
    made = executor(project, 4)
    assert made.room
    made.submit(runs["vanilla#1"], Unwatched(), None)  # took 400, and one more may take a fifth more
    assert not made.room
    assert made.room


class Scarce:
    """A device on which no more than so many runs fit: the next one is out of memory at its first training step."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, places: int) -> None:
        self.made, self.failed, train = [], 0, local.train

        def scarce(job, progress, **more):
            mine = train(job, progress, **more)
            next(mine)
            yield
            if len(self.made) >= places:
                self.failed += 1
                raise torch.OutOfMemoryError("CUDA out of memory")
            self.made.append(mine)
            try:
                return (yield from mine)
            finally:
                self.made.remove(mine)

        monkeypatch.setattr(local, "train", scarce)


def test_out_of_memory_means_fewer_at_a_time_from_then_on(project, monkeypatch):
    scarce = Scarce(monkeypatch, 2)
    runs = [run for name, run in planned(project).items() if not name.startswith("kd")]
    made = executor(project, 4)
    summary = walk(runs, made, Watcher())
    assert (summary.ended, len(summary.records)) == ("done", 4)
    assert made.most == 2
    assert scarce.failed == 2  # the third run and the fourth, which had begun; nothing was tried in vain after that


def test_out_of_memory_alone_is_an_error(project, monkeypatch):
    Scarce(monkeypatch, 0)
    made = executor(project, 4)
    made.submit(planned(project)["vanilla#1"], Unwatched(), None)
    with pytest.raises(DeviceError, match=r"tiny/vanilla: .* has too little free memory for it"):
        made.wait()
    assert made.room


def test_a_run_that_fails_leaves_the_others_going(project, monkeypatch):
    runs = planned(project)
    made = executor(project, 2)
    made.submit(runs["vanilla#1"], Unwatched(), None)

    def fails(*said, **more):
        yield
        raise DataError("no such image")

    monkeypatch.setattr(local, "train", fails)
    made.submit(runs["vanilla#2"], Unwatched(), None)
    with pytest.raises(DataError, match="no such image"):
        made.wait()
    ended, record = made.wait()
    assert ended is runs["vanilla#1"]
    assert record is not None
    with pytest.raises(ValueError, match="no run was submitted"):
        made.wait()


def test_each_run_that_is_out_of_time_leaves_a_checkpoint(project):
    runs = planned(project)
    made = executor(project, 2)
    for name in ("vanilla#1", "dml#1"):
        made.submit(runs[name], Unwatched(), 0.0)
    assert {(run.name, record) for run, record in (made.wait(), made.wait())} == {
        ("tiny/dml", None),
        ("tiny/vanilla", None),
    }
    for name in ("vanilla#1", "dml#1"):
        assert made.store.checkpoint(runs[name]).is_file()


def test_a_record_says_how_many_went_on_and_only_its_own_warnings(project, monkeypatch):
    runs, train = planned(project), local.train

    def warns(job, progress, **more):
        mine = train(job, progress, **more)
        yield next(mine)
        warnings.warn(f"of seed {job.seed}", stacklevel=1)
        return (yield from mine)

    told = []
    monkeypatch.setattr(local, "train", warns)
    monkeypatch.setattr(Unwatched, "warn", lambda self, message: told.append(message))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.filters", [])
        records, _ = carried_out([runs["vanilla#1"], runs["vanilla#2"]], project / "results", 2)
    assert {record.seed: record.warnings for record in records.values()} == {1: ["of seed 1"], 2: ["of seed 2"]}
    assert sorted(told) == ["of seed 1", "of seed 2"]
    said = [json.loads(path.read_text()) for path in (project / "results" / "runs").glob("*.json")]
    told = [(found["side_by_side"], found["compiled"], found["fused"]) for found in said]
    assert told == [(2, None, None), (2, None, None)]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_on_streams_of_their_own_runs_leave_what_they_leave_alone(project):
    runs = [run for run in planned(project).values() if run.name == "tiny/vanilla"]
    found = []
    for most in (1, 2):
        where = torch.device("cuda")
        store = Store(project / str(most))
        made = Inline(Local(store, Costs(project / "costs.json", {}), Builder(project, where)), most)
        walk(runs, made, Watcher())
        found.append([artifacts.load(store, run)[1] for run in runs])
    for alone, together in zip(*found, strict=True):
        torch.testing.assert_close(together, alone, rtol=1e-9, atol=1e-11)
