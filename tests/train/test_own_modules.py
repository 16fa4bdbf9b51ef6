"""Methods with modules of their own: they resume to the same bits, and hand modules on to the next stage."""

from pathlib import Path

import pytest
import torch

from bench.build import Builder, Inputs
from bench.errors import RecipeError
from bench.graph import Run, plan
from bench.methods.ab import AB
from bench.methods.base import Method
from bench.methods.cc import CC
from bench.methods.crd import CRD
from bench.methods.fitnet import FitNet
from bench.methods.ft import FT, Paraphrase
from bench.methods.vid import VID
from bench.recipe import load
from bench.train import artifacts
from bench.train.progress import Stopped
from tests.conftest import TINY
from tests.handmade import changed
from tests.told import Told
from tests.train.tiny import CPU, job, runs_of, train

METHODS: list[Method] = [
    FitNet(weight=10.0, layer="stage2"),
    CC(weight=0.02, dim=8),
    VID(weight=1.0),
    AB(weight=0.003),
    Paraphrase(),
    FT(weight=200.0),
    CRD(weight=0.8, kd=1.0, negatives=64, dim=8),
]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_a_resumed_run_is_bit_identical(method: Method, project: Path, tmp_path: Path) -> None:
    run = runs_of(project)["kd"]

    def made(folder: Path) -> object:
        begun = job(run, folder, precision="float32", method=method)
        if "paraphraser" in method.takes_on:
            with torch.no_grad():
                for parameter in begun.parts.paraphraser.parameters():
                    parameter.fill_(0.01)
        return begun

    whole, done = train(made(tmp_path / "whole")), []
    assert whole.status == "done"
    with pytest.raises(Stopped):
        train(made(tmp_path), Told(after=done.append), out_of_time=lambda seconds: len(done) == 2)
    resumed = train(made(tmp_path))
    assert [e["networks"] for e in resumed.curve] == [e["networks"] for e in whole.curve]
    assert resumed.tensors.keys() == whole.tensors.keys()
    assert all(torch.equal(whole.tensors[name], resumed.tensors[name]) for name in whole.tensors)


ROW = """  factor:
    label: FT
    group: synthetic
    network: small
    teacher: vanilla#1
    stages:
      first: {method: paraphrase}
      task: {init: first, method: {ft: {weight: 200.0}}}
    published: {}
"""


def factor(project: Path, *changes: tuple[str, str]) -> Run:
    """The last stage of a row that transfers factors."""
    (project / "recipes" / "tiny" / "table.yaml").write_text(TINY + changed(ROW, *changes), encoding="utf-8")
    return plan(load(project / "recipes"), ["tiny"], "paper", seeds=[1]).rows["tiny", "factor"][1]


def test_the_next_stage_begins_with_what_was_handed_on(project: Path, tmp_path: Path) -> None:
    run = factor(project)
    first = train(job(run.sources["init"], tmp_path / "first"))
    handed = {name: t for name, t in first.tensors.items() if name.startswith("parts.")}
    assert {name.split(".")[1] for name in handed} == {"paraphraser"}
    teacher = train(job(run.teachers[0], tmp_path / "teacher")).tensors
    builder = Builder(tmp_path, CPU)
    made = builder.job(run, Inputs({"teacher": teacher, "init": first.tensors}, {}), tmp_path / "task")
    for name, tensor in made.parts.paraphraser.state_dict().items():
        torch.testing.assert_close(tensor.double(), handed[f"parts.paraphraser.{name}"], rtol=1e-6, atol=1e-7)
    # The student's weights are those that its seed drew: the first stage taught it nothing.
    drawn = job(run.sources["init"], tmp_path / "again").networks[0]
    kept = artifacts.weights(first.tensors)
    assert all(torch.equal(parameter, kept[name].float()) for name, parameter in drawn.named_parameters())


def test_a_stage_hands_on_nothing_unless_its_method_says_so(project: Path, tmp_path: Path) -> None:
    trained = train(job(runs_of(project)["kd"], tmp_path, method=FT(weight=1.0)))
    assert not [name for name in trained.tensors if name.startswith("parts.")]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ([("init: first, ", "")], "method 'ft' needs 'init': an earlier stage whose method hands on its paraphraser"),
        (
            [("{method: paraphrase}", "{method: {sp: {weight: 1.0}}}")],
            "'ft' goes on from tiny/factor.first, which hands on no paraphraser",
        ),
        (
            [("{method: paraphrase}", "{method: paraphrase, teacher: vanilla#2}")],
            "goes on from tiny/factor.first, which has another teacher",
        ),
    ],
)
def test_a_recipe_that_hands_on_nothing_is_refused(project: Path, changes: list[tuple[str, str]], says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        factor(project, *changes)
