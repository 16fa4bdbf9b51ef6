from pathlib import Path

import pytest

from bench.cost import Costs
from bench.errors import RecipeError
from bench.graph import plan
from bench.recipe import Library
from bench.record import Result
from bench.report.render import render
from bench.report.table import build
from bench.store import Store
from tests.handmade import library, record

COLUMN = ("columns: [error, trcost, params]", "columns: [error, ensemble]\nnets: 2")
PUBLISHED = ("      params: 0.1\n", "      ensemble: 28.5\n")
ALIKE = ("better: kd, ", "alike: ensembles, better: kd, ")


def evaluated(recipes: Library, store: Store, row: str, errors: list[float]) -> None:
    run = plan(recipes, ["small"], "paper").ensembles["small", row]
    curve = [{"members": [i], "test_error": error} for i, error in enumerate(errors)]
    store.add(record(run, results=[Result(sum(errors) / len(errors), None, None)], curve=curve))


def report(recipes: Library, store: Store, folder: Path):
    return build(recipes, "small", store, Costs.read(folder / "costs.json"))


def test_ensembles_stand_beside_the_published_one(tmp_path: Path) -> None:
    recipes, store = library(tmp_path, COLUMN, PUBLISHED), Store(tmp_path / "results")
    evaluated(recipes, store, "plain", [28.0, 29.0, 30.0])
    made = report(recipes, store, tmp_path)
    lines = {line.name: line.ensemble for line in made.lines}
    found = lines["plain"]
    assert found is not None
    assert (found.size, found.published, found.count, found.mean, found.sd) == (2, 28.5, 3, 29.0, 1.0)
    assert found.difference == 0.5
    # A row whose ensembles were not measured yet, and one that trains nothing.
    assert lines["kd"] is not None
    assert lines["kd"].mean is None
    assert lines["nothing"] is None
    text = render(made, "text")
    assert "28.50 / 29.00 ± 1.00" in text
    assert "2 networks, +0.50" in text
    header, *rows = render(made, "csv").splitlines()
    plain = dict(zip(header.split(","), rows[0].split(","), strict=True))
    assert (plain["ensemble_mean"], plain["ensemble_difference"]) == ("29.0", "0.5")


@pytest.mark.parametrize(("kd", "word"), [(29.4, "holds"), (29.6, "contradicted"), (None, "no runs yet")])
def test_a_claim_that_ensembles_are_alike(tmp_path: Path, kd: float | None, word: str) -> None:
    recipes, store = library(tmp_path, COLUMN, PUBLISHED, ALIKE), Store(tmp_path / "results")
    evaluated(recipes, store, "plain", [29.0, 29.0, 29.0])
    if kd is not None:
        evaluated(recipes, store, "kd", [kd])
    assert report(recipes, store, tmp_path).claims[0].verdict.word == word


def test_such_a_claim_needs_the_column(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="'alike: ensembles' needs the column 'ensemble'"):
        library(tmp_path, ALIKE)
