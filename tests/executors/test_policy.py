"""By which rules a run gets a teacher cache, and compiled networks."""

from dataclasses import replace

import pytest
import torch

from bench.executors import choices
from bench.executors.choices import caches, compiles
from bench.graph import Run, plan
from bench.recipe import Spec, load
from bench.train import device

CPU = torch.device("cpu")


@pytest.fixture
def runs(project) -> dict[str, Run]:
    graph = plan(load(project / "recipes"), ["tiny"], "paper", seeds=[1])
    return {row: found[1] for (_, row), found in graph.rows.items()}


@pytest.mark.parametrize(
    ("row", "stage", "kept"),
    [
        ("kd", {}, True),
        ("kd", {"teacher_cache": "off"}, False),
        ("kd", {"method": Spec("fsp", {"weight": 1.0, "matrices": "sections"})}, False),
        ("vanilla", {}, False),
    ],
)
def test_which_runs_keep_what_their_teacher_said(runs, row, stage, kept) -> None:
    run = runs[row]
    data = replace(run.stage.data, crop_padding=0, flip=False)
    assert caches(replace(run, stage=replace(run.stage, data=data, **stage)), 100, CPU) is kept


@pytest.fixture
def machine(monkeypatch):
    """Makes this a machine with some capabilities, and with a compiler or without."""

    def become(*, capabilities=("amx_bf16",), compiler=True):
        monkeypatch.setattr(device, "_cpu", lambda: dict.fromkeys(capabilities, True))
        monkeypatch.setattr(choices, "has_compiler", lambda: compiler)

    return become


@pytest.mark.parametrize(
    ("row", "said", "flops", "precision", "compiled"),
    [
        ("vanilla", {}, 2 * 10**15, "auto", True),
        ("vanilla", {}, 2 * 10**15, "bfloat16", True),
        ("kd", {}, 2 * 10**15, "auto", True),
        ("vanilla", {}, 5 * 10**14, "auto", False),
        ("vanilla", {}, None, "auto", False),
        ("vanilla", {}, 2 * 10**15, "float32", False),
        ("dml", {}, 2 * 10**15, "auto", False),
        ("vanilla", {"capabilities": ("avx512_bf16",)}, 2 * 10**15, "auto", False),
        ("vanilla", {"capabilities": ()}, 2 * 10**15, "auto", False),
        ("vanilla", {"compiler": False}, 2 * 10**15, "auto", False),
    ],
)
def test_which_runs_are_compiled(runs, machine, row, said, flops, precision, compiled) -> None:
    machine(**said)
    run = replace(runs[row], stage=replace(runs[row].stage, precision=precision))
    assert compiles(run, flops, CPU) is compiled


def test_on_a_gpu_nothing_is_compiled(runs, machine, monkeypatch) -> None:
    machine()
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda where: (9, 0))
    assert not compiles(runs["vanilla"], 10**18, torch.device("cuda"))
