"""What a run needs, built from its recipe and from what other runs left."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from bench.build import Builder, Inputs, fresh_networks, make_job, make_network, make_synthesis
from bench.data.datasets import DatasetInfo
from bench.errors import RecipeError
from bench.graph import Run, plan
from bench.methods.data_impressions import DataImpressions
from bench.methods.vanilla import Vanilla
from bench.networks.base import Network
from bench.networks.modules.base import NetworkModule, Output
from bench.recipe import load
from bench.train import artifacts
from bench.train.artifacts import Tensors

CPU = torch.device("cpu")


@pytest.fixture
def runs(project: Path) -> dict[str, Run]:
    """The tiny table's runs of seed 1, by row."""
    graph = plan(load(project / "recipes"), ["tiny"], "paper", seeds=[1])
    return {row: by_seed[1] for (_, row), by_seed in graph.rows.items()}


@pytest.fixture
def builder(project: Path) -> Builder:
    return Builder(project / "data", CPU)


def left_by(run: Run, seed: int) -> Tensors:
    """The artifact of a run of another seed, as it would be before training."""
    return artifacts.of_networks(fresh_networks(replace(run, seed=seed)), [])


def with_stage(run: Run, **changes: object) -> Run:
    return replace(run, stage=replace(run.stage, **changes))


def test_seeds_are_paired_across_methods_and_initial_weights_follow_the_rule(runs: dict[str, Run]) -> None:
    first = {row: fresh_networks(run)[0].state_dict() for row, run in runs.items()}
    for name, value in first["vanilla"].items():
        assert torch.equal(value, first["kd"][name])
        assert torch.equal(value, first["dml"][name])
    other = fresh_networks(with_stage(runs["vanilla"], initial="framework"))[0]
    assert not torch.equal(next(other.parameters()), next(iter(first["vanilla"].values())))


def test_a_job_has_the_weights_that_other_runs_left(runs: dict[str, Run], builder: Builder, tmp_path: Path) -> None:
    run, source = runs["kd"], runs["vanilla"]
    refs = run.stage.teachers * 2
    run = replace(
        with_stage(run, teachers=refs, init=refs[0]),
        sources={"teacher": source, "teacher.2": replace(source, seed=2), "init": source},
    )
    left = {"teacher": left_by(source, 7), "teacher.2": left_by(source, 8), "init": left_by(source, 9)}
    job = builder.job(run, Inputs(left, {"teacher": {"record": "a", "artifact": "b"}}), tmp_path)
    for network, edge in ((job.teachers[0], "teacher"), (job.teachers[1], "teacher.2"), (job.networks[0], "init")):
        torch.testing.assert_close(network.state_dict(), artifacts.weights(left[edge]), rtol=0, atol=0)
    assert job.taken == {"teacher": {"record": "a", "artifact": "b"}}
    assert (job.setup.classes, job.setup.image, len(job.setup.labels)) == (10, (3, 32, 32), len(job.train))
    assert job.setup.students is job.networks
    assert job.setup.teachers is job.teachers


def test_of_a_group_the_first_network_teaches(runs: dict[str, Run], builder: Builder, tmp_path: Path) -> None:
    run = replace(runs["kd"], sources={"teacher": runs["dml"]})
    left = left_by(runs["dml"], 7)
    job = builder.job(run, Inputs({"teacher": left}), tmp_path)
    torch.testing.assert_close(job.teachers[0].state_dict(), artifacts.weights(left), rtol=0, atol=0)
    assert not torch.equal(left["net0.linear.weight"], left["net1.linear.weight"])


def test_images_that_a_run_left_are_trained_on(runs: dict[str, Run], builder: Builder, tmp_path: Path) -> None:
    made = torch.randn(5, 3, 32, 32).half()
    left = {"transfer_set": artifacts.of_images(made, torch.arange(5))}
    train, test = builder.loaders(runs["vanilla"], Inputs(left))
    images, labels, indices = train.batch(torch.arange(5))
    assert torch.equal(indices, labels)
    assert images.shape == (5, 3, 32, 32)
    assert torch.equal(train.padded[:5, 2:-2, 2:-2].permute(0, 3, 1, 2), made)
    assert len(test) == len(builder.test_labels(runs["vanilla"])) == 100


def test_a_set_is_read_once(runs: dict[str, Run], builder: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = builder.test_labels(runs["vanilla"])
    monkeypatch.delattr(DatasetInfo, "load")
    np.testing.assert_array_equal(builder.test_labels(runs["dml"]), labels)
    with pytest.raises(AttributeError):
        Builder(builder.folder, CPU).test_labels(runs["dml"])


def test_a_synthesis_has_its_teacher_and_the_shape_of_its_images(runs: dict[str, Run], tmp_path: Path) -> None:
    method = DataImpressions(count=3, scalings=(1.0,), temperature=2.0)
    run, teacher = with_stage(runs["kd"], method=method, networks=()), make_network(runs["vanilla"])
    job = make_synthesis(run, teacher, CPU, tmp_path, {})
    assert (job.teacher, job.method, job.shape) == (teacher, method, (3, 32, 32))


class Dropping(NetworkModule):
    def __init__(self, p: float) -> None:
        super().__init__()
        self.dropout, self.linear = nn.Dropout(p), nn.Linear(3, 10)

    def forward(self, x: torch.Tensor) -> Output:
        return Output(self.linear(self.dropout(x.mean((2, 3)))), {})


@dataclass(frozen=True)
class WithDropout(Network):
    p: float

    name: ClassVar[str] = "with_dropout"

    def build(self, classes: int, channels: int, size: int) -> nn.Module:
        return Dropping(self.p)


class DroppingMethod(Vanilla):
    name: ClassVar[str] = "dropping"

    def parts(self, setup: object) -> nn.Module:
        parts = nn.Module()
        parts.never_trained = Dropping(0.5).eval()
        parts.layer = Dropping(0.25)
        return parts


def test_dropout_is_refused_in_a_line(runs: dict[str, Run], builder: Builder, tmp_path: Path) -> None:
    run = runs["vanilla"]
    fresh_networks(with_stage(run, networks=(WithDropout(0.0),)))
    with pytest.raises(RecipeError, match=r"table.yaml:\d+: network 'with_dropout' has Dropout with p = 0.5, [^\n]*$"):
        fresh_networks(with_stage(run, networks=(WithDropout(0.5),)))
    loaders = builder.loaders(run, Inputs())
    with pytest.raises(RecipeError, match=r"table.yaml:\d+: method 'dropping' has Dropout with p = 0.25, [^\n]*$"):
        make_job(with_stage(run, method=DroppingMethod()), fresh_networks(run), [], *loaders, CPU, tmp_path, {})
