"""Options that are added later move no key: every record that was ever made is still found."""

import json
import shutil
from dataclasses import field, make_dataclass
from pathlib import Path
from typing import Any

import pytest

from bench import recipe, registry
from bench.graph import plan
from bench.recipe import stages
from bench.recipe.model import STAGE_KEYS
from bench.schema import NonNegativeInt

REPO = Path(__file__).parents[1]
RECORDS = [  # smoke runs leave theirs beside them, which are not committed
    json.loads(path.read_text())
    for path in sorted((REPO / "results" / "runs").glob("*.json"))
    if not path.name.startswith("smoke")
]


def planned(recipes: Path) -> dict[tuple[str, str], str]:
    """The name of every run of a folder of recipes, by key and id."""
    library = recipe.load(recipes)
    graphs = [plan(library, library.tables, profile) for profile in ("paper", "short")]
    measured = [run for graph in graphs for own in graph.fidelities.values() for pair in own.values() for run in pair]
    runs = [*(run for graph in graphs for run in graph.runs.values()), *(run for run in measured if run is not None)]
    return {(run.key, run.id): run.name for run in runs}


def grown(kind: type[Any]) -> type[Any]:
    """The same class with one more option, whose default is 0."""
    later = ("later", NonNegativeInt, field(default=0))
    return make_dataclass(kind.__name__, [later], bases=(kind,), frozen=True, namespace={"__module__": kind.__module__})


def grow(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """Add an option to one kind of thing."""
    if where in registry.__dict__:
        for name, kind in list(getattr(registry, where).items()):
            monkeypatch.setitem(getattr(registry, where), name, grown(kind))
    else:
        monkeypatch.setattr(stages, where, grown(getattr(stages, where)))
        if where == "Stage":
            monkeypatch.setitem(STAGE_KEYS, "later", "later")


# Each kind of thing that a recipe states, and how a recipe would say the new option of it.
STATED = {
    "Schedule": ("schedule: {", "schedule: {later: 1, "),
    "Data": ("data:\n", "data:\n  later: 1\n"),
    "Stage": ("        schedule: {iterations", "        later: 1\n        schedule: {iterations"),
    "METHODS": ("method: vanilla", "method: {vanilla: {later: 1}}"),
    "SYNTHESISERS": ("{data_impressions: {", "{data_impressions: {later: 1, "),
    "NETWORKS": ("{lenet5: {", "{lenet5: {later: 1, "),
    "OPTIMIZERS": ("{adam: {", "{adam: {later: 1, "),
}


# The versions of what committed records were made with, where they have been raised since.
RAISED = {"network resnet": 1}


def test_every_committed_record_is_found() -> None:
    runs = planned(REPO / "recipes")
    assert len(RECORDS) >= 129
    assert [record["name"] for record in RECORDS if record["key"] not in {key for key, _ in runs}] == []
    older = [record for record in RECORDS if (record["key"], record["id"]) not in runs]
    assert [record["name"] for record in older if not RAISED.items() & record["versions"].items()] == []


@pytest.fixture(scope="module")
def before() -> dict[tuple[str, str], str]:
    """The runs of the shipped recipes, as they are."""
    return planned(REPO / "recipes")


@pytest.mark.parametrize("where", STATED)
def test_a_new_option_at_its_default_moves_no_key(
    where: str, before: dict[tuple[str, str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    grow(monkeypatch, where)
    assert planned(REPO / "recipes") == before


@pytest.mark.parametrize("where", STATED)
def test_a_new_option_with_another_value_is_another_run(
    where: str, before: dict[tuple[str, str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipes = Path(shutil.copytree(REPO / "recipes", tmp_path / "recipes"))
    grow(monkeypatch, where)
    table = recipes / "zskd" / "table.yaml"
    says, would_say = STATED[where]
    assert says in table.read_text()
    table.write_text(table.read_text().replace(says, would_say), encoding="utf-8")
    after = {key for key, _ in planned(recipes)}
    old = {key for key, _ in before}
    assert after - old
    assert old - after
