"""By which rules a run gets teacher caches, and where runs are carried out."""

from dataclasses import replace

import pytest
import torch

from bench.counting import Costs
from bench.executors import choose
from bench.executors.choose import make_executor, num_at_once
from bench.executors.inline import Inline
from bench.executors.policy import should_cache_teacher
from bench.executors.processes import Processes
from bench.graph import Run, plan
from bench.methods.fsp import FSP
from bench.methods.vanilla import Vanilla
from bench.recipe import load
from bench.store import Store

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def runs(project) -> dict[str, Run]:
    graph = plan(load(project / "recipes"), ["tiny"], "paper", seeds=[1])
    return {row: found[1] for (_, row), found in graph.rows.items()}


@pytest.mark.parametrize(
    ("row", "stage", "kept"),
    [
        ("kd", {}, True),
        ("kd", {"teacher_cache": "off"}, False),
        ("kd", {"method": FSP(weight=1.0, matrices="sections")}, False),  # reads features, which no cache has
        ("kd", {"method": Vanilla()}, False),  # reads nothing of its teacher
        ("vanilla", {}, False),
    ],
)
def test_which_runs_keep_their_teachers_logits(runs, row, stage, kept) -> None:
    run = runs[row]
    data = replace(run.stage.data, crop_padding=0, flip=False)
    assert should_cache_teacher(replace(run, stage=replace(run.stage, data=data, **stage)), 100, CPU) is kept


@pytest.mark.parametrize(
    ("asked", "device", "count", "found"),
    [(None, CPU, 100, 6), (None, CPU, 3, 3), (2, CPU, 100, 2), (None, CUDA, 100, 4), (8, CUDA, 100, 8), (4, CPU, 0, 1)],
)
def test_how_many_at_once(monkeypatch, asked, device, count, found) -> None:
    monkeypatch.setattr(choose, "cores", lambda: 6)
    assert num_at_once(asked, device, count) == found


@pytest.mark.parametrize(
    ("devices", "at_once", "kind", "threads"),
    [
        ([CPU], 1, Inline, 6),
        ([CPU], 4, Processes, 1),
        ([CPU], 2, Processes, 3),
        # A process a GPU; none is started here.
        ([torch.device("cuda:0"), torch.device("cuda:1")], 4, Processes, 3),
    ],
)
def test_which_executor(tmp_path, monkeypatch, devices, at_once, kind, threads) -> None:
    monkeypatch.setattr(choose, "cores", lambda: 6)
    now = [6]
    monkeypatch.setattr(torch, "get_num_threads", lambda: now[-1])
    monkeypatch.setattr(torch, "set_num_threads", now.append)
    made = make_executor(Store(tmp_path), Costs(tmp_path / "costs.json", {}), tmp_path, devices, at_once)
    assert type(made) is kind
    assert now[-1] == threads
    if kind is Processes:
        places = (made.devices, made.arguments.each)
        assert places == ([CPU] * at_once, 1) or places == (devices, at_once)
