"""Rows and claims that wait: what is published stands in the table all the same."""

import csv
import io
from pathlib import Path

import pytest

from bench.counting import Costs
from bench.errors import RecipeError, UsageError
from bench.graph import plan
from bench.recipe import Library
from bench.record import Result
from bench.report.model import Report
from bench.report.render import render
from bench.report.table import build
from bench.store import Store
from tests.handmade import library, record
from tests.report.pages import FakeCosts

NOTHING = "  nothing: {label: Left out, group: Large, published: N/A}\n"
WAITING = """\
  nothing:
    label: Another set
    group: Large
    waits: "needs another set"
    published:
      error: {value: 12.5, spread: 0.5, meaning: half-range, n: 2, source: "Table 9", nets: [12.0, 13.0]}
      trcost: 3.0
      iterations: 64000
      seconds: 16
"""
CLAIM = ("better: kd, worse: plain}", 'better: kd, worse: nothing, waits: "needs another set"}')


def report(found: Library, folder: Path) -> Report:
    return build(found, "small", Store(folder), Costs.read(folder / "costs.json"))


def test_a_row_that_waits_shows_what_is_published(tmp_path: Path) -> None:
    found = library(tmp_path, (NOTHING, WAITING), CLAIM)
    made = build(found, "small", Store(tmp_path), FakeCosts())
    line = made.lines[-1]
    assert (line.available, line.waits, line.measured, line.verdict) == (True, "needs another set", (), None)
    text = render(made, "text")
    (shown,) = [each for each in text.splitlines() if "Another set" in each]
    assert "12.50 ± 0.50" in shown
    assert " waits [" in shown
    assert "3 / -" in shown
    for note in (
        "waits: needs another set",
        "nets: 12.00, 13.00",
        "published iterations: 64000",
        "published seconds: 16",
    ):
        assert note in text
    assert "KD beats the plain student: waits (needs another set)" in text
    costs = text[text.index("Total training cost") :]
    assert "Another set" not in costs
    assert ("small", "nothing") not in plan(found, ["small"], "paper").rows


def test_it_cannot_be_asked_for(tmp_path: Path) -> None:
    found = library(tmp_path, (NOTHING, WAITING))
    with pytest.raises(UsageError, match="row 'nothing' of small waits: needs another set"):
        plan(found, ["small"], "paper", rows=["nothing"])


def test_it_is_a_row_of_the_csv_without_a_score(tmp_path: Path) -> None:
    form = render(report(library(tmp_path, (NOTHING, WAITING)), tmp_path), "csv")
    row = {row["row"]: row for row in csv.DictReader(io.StringIO(form))}["nothing"]
    assert (row["available"], row["scored"], row["published_value"], row["trcost_published"]) == (
        "True",
        "False",
        "12.5",
        "3.0",
    )
    assert row["published_nets"] == "12.0 13.0"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            (NOTHING, WAITING.replace("    published:", "    method: vanilla\n    published:")),
            "row nothing (waits): unknown key 'method'",
        ),
        ((NOTHING, WAITING.replace("seconds", "hours")), "row nothing.published: unknown key 'hours'"),
        (("      params: 0.1\n", "      seconds: 16\n"), "row plain.published: unknown key 'seconds'"),
        (("worse: plain}", "worse: nothing}"), "claims: 'nothing' trains nothing"),
    ],
)
def test_what_such_a_row_cannot_say(tmp_path: Path, change: tuple[str, str], says: str) -> None:
    with pytest.raises(RecipeError, match=says.replace("(", r"\(").replace(")", r"\)")):
        library(tmp_path, change)


ALIKE = ("better: kd, worse: plain}", "better: kd, worse: plain, alike: rows}")


@pytest.mark.parametrize(
    ("differences", "word"),
    [
        ([0.1, 0.2, 0.15], "holds"),
        ([-0.1, -0.2, -0.15], "holds"),
        ([1.9, 2.0, 2.1], "contradicted"),
        ([-1.9, -2.0, -2.1], "contradicted"),
        ([-1.0, 0.0, 1.0], "undecided"),
        ([0.1], "undecided"),
        ([], "no runs yet"),
    ],
)
def test_a_claim_that_two_rows_are_alike(tmp_path: Path, differences: list[float], word: str) -> None:
    found, store = library(tmp_path, ALIKE), Store(tmp_path)
    runs = plan(found, ["small"], "paper").rows
    for seed, difference in enumerate(differences, 1):
        for row, error in (("plain", 30.0 + seed), ("kd", 30.0 + seed + difference)):
            store.add(record(runs["small", row][seed], results=[Result(error, error, 9)]))
    assert report(found, tmp_path).claims[0].verdict.word == word
