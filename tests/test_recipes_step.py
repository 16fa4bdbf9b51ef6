from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from bench import graph, recipe, registry
from bench.data.pictures import Pictures
from bench.executors.local import fresh_networks, make_job, make_synthesis
from bench.graph import Run
from bench.networks import Network
from bench.train.engine import Training
from bench.train.progress import Unwatched
from bench.train.synthesis import synthesise
from bench.train.turns import to_the_end

CPU, BATCH = torch.device("cpu"), 4


@cache
def rows() -> dict[str, Run]:
    """One run of every stage of every row that trains, as the smoke profile plans it without any data.

    By the name of its row; a stage that another one of its row goes on from has its own name after that.
    """
    library = recipe.load(Path(__file__).parents[1] / "recipes")
    planned = graph.plan(library, library.tables, "smoke")
    found = {"/".join(row): runs[min(runs)] for row, runs in planned.rows.items()}
    known = {run.key for run in found.values()}
    earlier = {run.name: run for run in planned.runs.values() if run.key not in known}
    return {name: run for name, run in (found | earlier).items() if run.kind == "train"}


def combination(run: Run) -> str:
    """What one step of a run depends on; rows that agree in it need only be tried once."""
    stage = run.stage
    taught_by = run.teacher and run.teacher.stage.networks
    return repr((stage.networks, stage.method, stage.update, stage.optimizer, stage.data, stage.schedule, taught_by))


DISTINCT = {combination(run): name for name, run in reversed(rows().items())}


class Calls(TorchDispatchMode):
    """Notes the name of every operation."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        self.names.add(operation.name())
        return operation(*args, **(kwargs or {}))


def training(run: Run, teachers: list[Network], folder: Path) -> Training:
    """A run in float32 on the CPU, on random images."""
    entry, draws = registry.SETS[run.stage.data.set], np.random.default_rng(0)
    images = draws.integers(0, 256, (BATCH, entry.size, entry.size, entry.channels), dtype=np.uint8)
    labels = draws.integers(0, entry.classes, BATCH)
    shown = [Pictures(images, labels, run.stage.data, CPU, torch.float32, augment=a) for a in (True, False)]
    job = make_job(run, fresh_networks(run), teachers, (shown[0], shown[1]), CPU, folder / "unfinished", {})
    return Training(replace(job, precision="float32"))


def copied(networks: list[Network]) -> list[dict[str, Tensor]]:
    return [{name: tensor.clone() for name, tensor in network.state_dict().items()} for network in networks]


@pytest.mark.parametrize("name", DISTINCT.values())
def test_a_step_of_every_row(name: str, tmp_path: Path) -> None:
    run = rows()[name]
    teachers = [] if run.teacher is None else fresh_networks(run.teacher)[:1]
    step = training(run, teachers, tmp_path)
    networks = list(step.job.networks)
    before, taught = copied(networks), copied(teachers)
    step.begin(0, 1)
    step.batches.run(1)
    assert step.sums.totals
    assert all(total.isfinite() for total in step.sums.totals.values())
    for network, old in zip(networks, before, strict=True):
        # Only a stage before the last may leave something as it was: what its loss does not reach.
        untouched = {key for key, parameter in network.named_parameters() if parameter.grad is None}
        assert not untouched or "." in name
        assert {key for key, tensor in network.state_dict().items() if torch.equal(tensor, old[key])} == untouched
    for teacher, old in zip(teachers, taught, strict=True):
        torch.testing.assert_close(teacher.state_dict(), old, rtol=0, atol=0)
        assert all(parameter.grad is None for parameter in teacher.parameters())


def test_every_row_is_covered() -> None:
    assert {combination(run) for run in rows().values()} == DISTINCT.keys()
    assert len(rows()) > len(DISTINCT) > 0


def syntheses() -> dict[str, Run]:
    """The runs behind the rows that make images."""
    sources = [run.sources["transfer_set"] for run in rows().values() if "transfer_set" in run.sources]
    return {run.name: run for run in sources}


@pytest.mark.parametrize("name", syntheses())
def test_images_of_every_row_that_makes_some(name: str, tmp_path: Path) -> None:
    run = syntheses()[name]
    assert run.teacher is not None
    stage = run.stage
    method = replace(stage.method, params={**stage.method.params, "count": 3})
    few = replace(run, stage=replace(stage, method=method, schedule=replace(stage.schedule, iterations=2)))
    work = make_synthesis(few, fresh_networks(run.teacher)[0], CPU, tmp_path / "unfinished", {})
    images = to_the_end(synthesise(replace(work, precision="float32"), Unwatched())).tensors["images"]
    entry = registry.SETS[stage.data.set]
    assert images.shape == (3, entry.channels, entry.size, entry.size)
    assert images.isfinite().all()


# The cheapest row of each method and update.
STEPS = ["ffdwv-table2/resnet32-cifar10", "ffdwv-table2/resnet32-ffdwv-cifar10", "ffdwv-table3/kd-resnet32"]
STEPS += ["dml-table2/dml", "dml-table2/dml-simultaneous", "fsp-small-cifar10/fitnet"]
STEPS += ["fsp-small-cifar10/fitnet.hint", "fsp-small-cifar10/fsp.flow", "fsp-cifar10/student-cross.flow"]


@pytest.mark.parametrize("name", STEPS)
def test_no_value_of_a_step_comes_back_to_the_host(name: str, tmp_path: Path) -> None:
    # On CUDA each would wait for the device, and a step that does so cannot be captured.
    run = rows()[name]
    step = training(run, [] if run.teacher is None else fresh_networks(run.teacher)[:1], tmp_path)
    step.begin(0, 1)
    with Calls() as calls:
        step.batches.run(1)
        step.tests.run(1)
    assert calls.names & {"aten::_local_scalar_dense", "aten::nonzero", "aten::is_nonzero"} == set()
