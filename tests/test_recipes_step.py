from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench import graph, recipe, registry
from bench.build import fresh_networks, images_dtype, make_job, make_synthesis
from bench.cost import cost_of
from bench.counting import Costs
from bench.graph import Run
from bench.methods.base import Method
from bench.methods.ffdwv import FFDWV
from bench.train import artifacts
from bench.train.engine import Training
from bench.train.loader import DeviceLoader
from bench.train.progress import Unwatched, run_to_completion
from bench.train.synthesis import synthesise
from tests.operations import READING, Operations
from tests.train import patterned
from tests.train.test_golden import CASES

CPU, BATCH = torch.device("cpu"), 4
COSTS = Costs.read(Path(__file__).parents[1] / "results" / "costs.json")


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
    """What one step of a run depends on but for sizes; of the rows that agree in it the cheapest is tried."""
    stage = run.stage
    kinds = [network.name for network in stage.networks], len(run.teachers)
    return repr((stage.method, kinds, stage.update, stage.optimizer, stage.data.set))


def size(run: Run) -> int:
    """The parameters of a run's networks and of its teachers."""
    networks = [*run.stage.networks, *(teacher.stage.networks[0] for teacher in run.teachers)]
    return sum(cost.params for network in networks if (cost := cost_of(network, run.stage.data.set, COSTS)))


DISTINCT = {combination(run): name for name, run in sorted(rows().items(), key=lambda row: -size(row[1]))}


def training(
    run: Run, teachers: list[nn.Module], folder: Path, precision: str = "float32", dtype: torch.dtype = torch.float32
) -> Training:
    """A run on the CPU, on random images of some type."""
    info, draws = registry.SETS[run.stage.data.set], np.random.default_rng(0)
    images = draws.integers(0, 256, (BATCH, info.size, info.size, info.channels), dtype=np.uint8)
    labels = draws.integers(0, info.classes, (BATCH, *info.label_shape))
    loaders = [DeviceLoader(images, labels, run.stage.data, CPU, dtype, augment=a) for a in (True, False)]
    job = make_job(run, fresh_networks(run), teachers, *loaders, CPU, folder / "unfinished", {})
    return Training(replace(job, precision=precision))


def copied(networks: list[nn.Module]) -> list[dict[str, Tensor]]:
    return [{name: tensor.clone() for name, tensor in network.state_dict().items()} for network in networks]


@pytest.mark.parametrize("name", DISTINCT.values())
def test_a_step_of_every_row(name: str, tmp_path: Path) -> None:
    run = rows()[name]
    teachers = [fresh_networks(teacher)[0] for teacher in run.teachers]
    step = training(run, teachers, tmp_path)
    networks = list(step.job.networks)
    before, taught = copied(networks), copied(teachers)
    step.begin(0, 1)
    step.train_loop.run(1)
    totals = step.sums.read()
    assert totals
    assert all(np.isfinite(total) for total in totals.values())
    for network, old in zip(networks, before, strict=True):
        # Only a stage before the last may leave something as it was: what its loss does not reach.
        untouched = {key for key, parameter in network.named_parameters() if parameter.grad is None}
        assert not untouched or "." in name
        assert {key for key, tensor in network.state_dict().items() if torch.equal(tensor, old[key])} == untouched
    for teacher, old in zip(teachers, taught, strict=True):
        torch.testing.assert_close(teacher.state_dict(), old, rtol=0, atol=0)
        assert all(parameter.grad is None for parameter in teacher.parameters())


ONE_EACH = {run.stage.networks[0].name: name for name, run in rows().items() if name in DISTINCT.values()}


@pytest.mark.parametrize("name", ONE_EACH.values(), ids=ONE_EACH)
def test_images_that_are_in_bfloat16_already_give_every_kind_of_network_the_same_bits(
    name: str, tmp_path: Path
) -> None:
    run = rows()[name]
    assert images_dtype(replace(run, stage=replace(run.stage, precision="bfloat16")), CPU) == torch.bfloat16
    after = []
    for dtype in (torch.float32, torch.bfloat16):
        teachers = [fresh_networks(teacher)[0] for teacher in run.teachers]
        step = training(run, teachers, tmp_path, "bfloat16", dtype)
        step.begin(0, 1)
        step.train_loop.run(1)
        after.append((step.sums.read(), copied(list(step.job.networks))))
    (sums, networks), (their_sums, their_networks) = after
    assert sums == their_sums
    torch.testing.assert_close(networks, their_networks, rtol=0, atol=0)


def test_images_that_are_reduced_to_fewer_pixels_stay_in_float32() -> None:
    runs = [run for run in rows().values() if run.stage.data.resolution is not None]
    assert runs
    assert {images_dtype(run, CPU) for run in runs} == {torch.float32}


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
    stage = run.stage
    method, schedule = replace(stage.method, count=3), replace(stage.schedule, iterations=2)
    few = replace(run, stage=replace(stage, method=method, schedule=schedule))
    work = make_synthesis(few, fresh_networks(run.teachers[0])[0], CPU, tmp_path / "unfinished", {})
    outcome = run_to_completion(synthesise(replace(work, precision="float32"), Unwatched()))
    images, info = artifacts.images(outcome.tensors)[0], registry.SETS[stage.data.set]
    assert images.shape == (3, info.channels, info.size, info.size)
    assert images.isfinite().all()


# Every method, with the updates of a group and with one teacher or several.
STEPS = {name: case for name, case in CASES.items() if isinstance(case.method, Method)}


def test_every_method_is_among_them() -> None:
    assert {case.method.name for case in STEPS.values()} == set(registry.METHODS)


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.usefixtures("as_on_a_device")
def test_no_value_of_a_step_comes_back_to_the_host(name: str) -> None:
    case = STEPS[name]
    method, update = case.method, case.update
    students = [patterned.network(patterned.RESNET, k) for k in range(2 if method.needs.group else 1)]
    teachers = [patterned.network(case.taught_by, 7 + i) for i in range(case.teachers)]
    parts = method.table(np.ones((patterned.CLASSES, patterned.CLASSES))) if isinstance(method, FFDWV) else None
    step = Training(patterned.job(method, students, teachers, parts=parts, update=update))
    step.begin(0, 1)
    with Operations() as operations:
        step.train_loop.run(1)
        step.test_loop.run(1)
    assert operations.names & READING == set()
    assert "aten::convolution_backward" in operations.names
    # What a step changes of a method's own modules is among the tensors that a checkpoint keeps.
    kept = {tensor.data_ptr() for tensor in step._tensors().values()}
    assert {tensor.data_ptr() for tensor in step.job.parts.state_dict().values() if tensor.numel()} <= kept


def test_a_value_that_comes_back_is_noticed() -> None:
    with Operations() as operations:
        torch.ones(()).item()
    assert operations.names & READING
