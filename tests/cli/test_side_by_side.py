"""``kdbench run`` with several runs at a time: the same results, and nothing left behind by what ends it early."""

import os
import signal
from pathlib import Path

import pytest
import torch

from bench.cli import work
from bench.data.datasets import DatasetInfo
from bench.executors import choose
from bench.files import write_atomic
from bench.graph import plan
from bench.project import Project
from bench.recipe import load
from bench.store import Store
from tests.cli.commands import RUN, VANILLA, by_name, finish, records, start, wait_for_checkpoints
from tests.handmade import record

TWO = (*RUN, "--at-once", "2")


def left_behind(folder: Path) -> list[Path]:
    return [path for path in (folder / "results").glob("*/*") if ".part" in path.name]


@pytest.mark.slow
def test_side_by_side_gives_the_same_bits_as_one_after_the_other(project, trained):
    code, out, err = finish(start(project, *TWO))
    assert (code, err) == (0, "")
    assert "6 of 6 runs to train, 2 at a time\n" in out
    one, two = by_name(trained), by_name(project)
    assert len(two) == 6
    assert {key: record["artifact"] for key, record in one.items()} == {k: r["artifact"] for k, r in two.items()}
    assert {key: record["results"] for key, record in one.items()} == {k: r["results"] for k, r in two.items()}
    taken = two["tiny/kd", 2]["taken"]["teacher"]
    assert taken == {"record": two["tiny/vanilla", 1]["id"], "artifact": two["tiny/vanilla", 1]["artifact"]}
    assert {record["device"] for record in two.values()} == {record["device"] for record in one.values()}


@pytest.mark.slow
def test_ctrl_c_ends_the_workers_and_the_same_command_resumes_to_the_same_bits(slow, uninterrupted):
    process = start(slow, *TWO, *VANILLA)
    wait_for_checkpoints(slow, 2)
    os.killpg(process.pid, signal.SIGINT)
    code, out, err = finish(process, 30)
    assert (code, err) == (130, "")
    assert "the same command resumes from the last checkpoint" in out
    assert left_behind(slow) == []
    resumed = len(list((slow / "results" / "checkpoints").iterdir()))
    assert resumed + len(records(slow)) == 2
    assert finish(start(slow, *TWO, *VANILLA))[0] == 0
    assert by_name(slow)["tiny/vanilla", 1]["artifact"] == uninterrupted["artifact"]
    assert list((slow / "results" / "checkpoints").iterdir()) == []


@pytest.mark.slow
def test_workers_end_with_a_parent_that_is_killed(slow):
    process = start(slow, *TWO, *VANILLA)
    wait_for_checkpoints(slow, 2)
    process.kill()
    _, _, err = finish(process, 30)
    assert "Traceback" not in err


@pytest.mark.slow
def test_a_killed_worker_is_one_line_and_the_rest_is_kept(project, kdbench):
    die = """
import os
def save(training, save=engine.Training.save):
    os.kill(os.getpid(), 9) if training.job.teachers else save(training)
engine.Training.save = save
"""
    rows = (*VANILLA, "--row", "kd")
    code, _, err = finish(start(project, *TWO, *rows, everywhere=die))
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith("kdbench: tiny/kd seed ")
    assert "the process that trained it was killed (SIGKILL)" in err
    kept = by_name(project)
    assert ("tiny/vanilla", 1) in kept
    assert kdbench(*RUN, *rows, "--at-once", "1")[0] == 0
    found = by_name(project)
    assert len(found) == 4
    assert {key: found[key] for key in kept} == kept


def test_a_damaged_source_is_one_line(project, kdbench):
    store = Store(project / "results")
    teacher = plan(load(project / "recipes"), ["tiny"], "paper").rows["tiny", "vanilla"][1]
    write_atomic(store.artifact(teacher.id), b"!")
    store.add(record(teacher, artifact="0" * 64))
    code, _, err = kdbench(*TWO, "--row", "kd")
    assert (code, err.count("\n")) == (2, 1)
    assert "not the file that its record describes" in err


@pytest.mark.parametrize(
    ("asked", "cores", "count", "said"),
    [
        (None, 4, 6, 4),
        (None, 4, 1, 1),
        (None, 64, 50, 8),
        (None, 4, 0, 1),
        (16, 4, 50, 16),
        (16, 4, 3, 3),
        (1, 4, 6, 1),
    ],
)
def test_as_many_runs_at_a_time_as_there_are_cores_unless_told(monkeypatch, asked, cores, count, said):
    monkeypatch.setattr(choose, "cores", lambda: cores)
    assert choose.num_at_once(asked, torch.device("cpu"), count) == said


@pytest.mark.parametrize(("asked", "count", "said"), [(None, 6, 4), (None, 2, 2), (1, 6, 1), (8, 20, 8)])
def test_on_a_gpu_a_few_at_a_time(asked, count, said):
    assert choose.num_at_once(asked, torch.device("cuda"), count) == said


def test_a_set_that_is_not_there_is_fetched_once_before_any_run_begins(project, monkeypatch):
    fetched = []
    monkeypatch.setattr(DatasetInfo, "load", lambda self, *args, **options: fetched.append((self.name, args, options)))
    found = Project.find()
    runs = list(plan(found.library(), ["tiny"], "paper").runs.values())
    work.fetch(found, runs)
    assert fetched == []
    monkeypatch.setattr(Project, "has_data", lambda self, name: False)
    work.fetch(found, runs)
    assert fetched == [("synthetic10", (found.data,), {"download": True})]
