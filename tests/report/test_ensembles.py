from pathlib import Path

import pytest

from bench.counting import Costs
from bench.errors import RecipeError
from bench.graph import plan
from bench.recipe import Library
from bench.record import Result
from bench.report.html.page import read
from bench.report.html.write import write_page
from bench.report.render import render
from bench.report.table import build
from bench.store import Store
from tests.handmade import library, record

COLUMN = ("columns: [error, trcost, params]", "columns: [error, ensemble]\nnets: 2")
PUBLISHED = ("      params: 0.1\n", "      ensemble: 28.5\n")
ALIKE = ("better: kd, ", "alike: ensembles, better: kd, ")


def evaluated(recipes: Library, store: Store, row: str, errors: list[float]) -> None:
    run = plan(recipes, ["small"], "paper").ensembles["small", row][0]
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


def test_the_page_has_the_evaluation_behind_ensembles_of_all_seeds(tmp_path: Path) -> None:
    recipes = library(tmp_path, COLUMN)
    page = read(recipes, "small", Store(tmp_path / "results"), Costs.read(tmp_path / "costs.json"))
    ensembles = [found for _, rows in page.groups for row in rows for found in row.details.values() if found.networks]
    assert ensembles
    for found in ensembles:
        assert found.networks == 2
        assert [(run.seed, run.state, run.record) for run in found.runs] == [(0, "missing", None)]
        assert "--seed" not in found.runs[0].command


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


GENERATIONS = ("    label: KD\n", "    label: KD\n    generations: 2\n")
ALONE = ("columns: [error, trcost, params]", "columns: [error, ensemble]")
# A third network, which the row kd teaches; its seeds are others.
THIRD = (
    "  nothing: {",
    "  third: {label: Third, group: Small, network: student, method: {soft_targets: {temperature: 1.0}},"
    " seeds: [4, 5, 6], sources: [1, 2, 3], teacher: kd#source, generations: 3, published: {}}\n  nothing: {",
)


def test_generations_are_put_together_by_seed(tmp_path: Path) -> None:
    recipes, store = library(tmp_path, ALONE, GENERATIONS, THIRD), Store(tmp_path / "results")
    found = plan(recipes, ["small"], "paper")
    assert found.ensembles.keys() == {("small", "kd"), ("small", "third")}
    runs = found.ensembles["small", "third"]
    for seed, run in zip((4, 5, 6), runs, strict=True):
        assert [(edge, own.name, own.seed) for edge, own in run.sources.items()] == [
            ("1", "small/large", 1),
            ("2", "small/kd", seed - 3),
            ("3", "small/third", seed),
        ]
        assert (run.kind, run.ensemble, run.seed) == ("evaluate", 3, seed)
        assert found.runs[run.key] is run
    assert len({run.key for run in runs}) == 3
    for run, error in zip(runs[:2], (28.0, 29.0), strict=True):
        curve = [{"members": [1, 2, 3], "test_error": error}]
        store.add(record(run, results=[Result(error, None, None)], curve=curve))
    ensemble = {line.name: line.ensemble for line in report(recipes, store, tmp_path).lines}["third"]
    assert ensemble is not None
    assert (ensemble.size, ensemble.count, ensemble.mean) == (3, 2, 28.5)

    page = read(recipes, "small", store, Costs.read(tmp_path / "costs.json"))
    row = next(row for _, rows in page.groups for row in rows if row.label == "Third")
    (key,) = (cell.opens for cell in row.cells if cell.opens and cell.opens.endswith("ensembles"))
    assert [(behind.seed, behind.state, behind.last, behind.best) for behind in row.details[key].runs] == [
        (4, "done", 28.0, None),
        (5, "done", 29.0, None),
        (6, "missing", None, None),
    ]
    assert row.details[key].runs[0].command == "kdbench run small --row third --seed 4 --profile paper"
    html = write_page(page)
    assert f'data-opens="{key}"' in html
    assert "Ensembles of 3 networks, paper profile" in html.partition(f'<template id="{key}">')[2].partition("</p>")[0]


def test_they_move_no_key_of_a_training(tmp_path: Path) -> None:
    plain = plan(library(tmp_path / "a"), ["small"], "paper").runs.values()
    together = plan(library(tmp_path / "b", ALONE, GENERATIONS), ["small"], "paper").runs.values()
    assert [run.id for run in together if run.kind == "train"] == [run.id for run in plain]


UNFIT = {
    "3 networks, but its chain of single teachers has 2": [ALONE, (GENERATIONS[0], GENERATIONS[1].replace("2", "3"))],
    "must be 1 or more": [ALONE, (GENERATIONS[0], GENERATIONS[1].replace("2", "0"))],
    "generation 1 before it is tested on other images": [
        ALONE,
        GENERATIONS,
        ("    label: Large\n", "    label: Large\n    data: {test: all}\n"),
    ],
    "needs the column 'ensemble'": [GENERATIONS],
    "the row has ensembles of 2 seeds": [COLUMN, GENERATIONS],
}


@pytest.mark.parametrize("says", UNFIT)
def test_generations_that_do_not_go_together_are_refused(tmp_path: Path, says: str) -> None:
    with pytest.raises(RecipeError, match=rf"table\.yaml:\d+: row kd\.generations: .*{says}"):
        library(tmp_path, *UNFIT[says])
