import csv
from pathlib import Path
from typing import Any

import pytest

from bench.counting import Costs
from bench.graph import plan
from bench.report.render import render
from bench.report.table import build
from bench.store import Store
from tests.handmade import epoch, library, record

COLUMN = ("columns: [error, trcost, params]", "columns: [error, train]")


def ended(*train_errors: float) -> list[dict[str, Any]]:
    """A curve of two epochs, whose last one has these errors on the training images, a network each."""
    last = epoch(2)
    return [epoch(1), last | {"networks": [last["networks"][0] | {"train_error": error} for error in train_errors]}]


def test_training_images_have_a_column(tmp_path: Path) -> None:
    recipes, store = library(tmp_path, COLUMN), Store(tmp_path / "results")
    rows = plan(recipes, ["small"], "paper").rows
    store.add(record(rows["small", "plain"][1], curve=ended(10.0)))
    store.add(record(rows["small", "plain"][2], curve=ended(12.0)))
    store.add(record(rows["small", "plain"][3], curve=ended(50.0), status="diverged", results=[]))
    # Of a group of which the mean is reported, the mean.
    store.add(record(rows["small", "dml"][1], curve=ended(20.0, 30.0)))
    made = build(recipes, "small", store, Costs.read(tmp_path / "costs.json"))
    lines = {line.name: line.train for line in made.lines}
    plain, dml, kd = lines["plain"], lines["dml"], lines["kd"]
    assert plain is not None
    assert (plain.values, plain.diverged, plain.mean, plain.sd) == ({1: 10.0, 2: 12.0}, 1, 11.0, pytest.approx(2**0.5))
    assert dml is not None
    assert (dml.mean, dml.sd) == (25.0, None)
    assert kd is not None
    assert kd.mean is None
    assert lines["nothing"] is None
    text = render(made, "text")
    assert "last 11.00 ± 1.41" in text
    assert "Train: the same of the training images" in text
    first, *_ = csv.DictReader(render(made, "csv").splitlines())
    assert first["train_mean"] == "11.0"


def test_an_accuracy_is_one_of_the_training_images_too(tmp_path: Path) -> None:
    changes = (
        ("metric: error", "metric: accuracy"),
        ("columns: [error, trcost, params]", "columns: [accuracy, train]"),
    )
    recipes, store = library(tmp_path, *changes, ("      error: {", "      accuracy: {")), Store(tmp_path / "results")
    store.add(record(plan(recipes, ["small"], "paper").rows["small", "plain"][1], curve=ended(10.0)))
    made = build(recipes, "small", store, Costs.read(tmp_path / "costs.json"))
    train = next(line.train for line in made.lines if line.name == "plain")
    assert train is not None
    assert train.mean == 90.0


def test_other_tables_do_not_have_it(tmp_path: Path) -> None:
    recipes = library(tmp_path)
    made = build(recipes, "small", Store(tmp_path / "results"), Costs.read(tmp_path / "costs.json"))
    assert {line.train for line in made.lines} == {None}
    assert "Train" not in render(made, "text")
    assert "train_mean" not in render(made, "csv")


def test_a_smaller_profile_shows_it_in_its_own_column(tmp_path: Path) -> None:
    recipes, store = library(tmp_path, COLUMN), Store(tmp_path / "results")
    store.add(record(plan(recipes, ["small"], "short").rows["small", "plain"][1], curve=ended(33.0)))
    made = build(recipes, "small", store, Costs.read(tmp_path / "costs.json"), smaller="short")
    assert "train 33.00" in render(made, "text")
