"""The printed iterations of every table follow from its rows' stages; nobody types them in."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.cost import iterations
from bench.counting import Costs
from bench.errors import RecipeError
from bench.recipe import Library, load
from bench.report.model import Report
from bench.report.render import render
from bench.report.table import build
from bench.store import Store
from tests.handmade import SMALL, changed, library, write

ROOT = Path(__file__).parents[2]
SHIPPED = load(ROOT / "recipes")
PRINTED = {
    "fsp-table1": {"teacher": 192_000, "teacher-short": 63_000, "fitnet-short": 98_000, "student-short": 95_000},
    "fsp-cifar10": {
        "teacher": 192_000,
        "teacher-short": 63_000,
        "teacher-continued": 63_000,
        "fitnet-short": 98_000,
        "fitnet-3-short": 98_000,
        "student-short": 84_000,
        "student-apart": 126_000,
    },
}


def report(library: Library, name: str, folder: Path) -> Report:
    return build(library, name, Store(folder), Costs.read(ROOT / "results" / "costs.json"))


@pytest.mark.parametrize("name", PRINTED)
def test_as_printed(name: str, tmp_path: Path) -> None:
    cells = {line.name: line.costs["iterations"] for line in report(SHIPPED, name, tmp_path).lines}
    scored = {row: cell for row, cell in cells.items() if cell.published is not None}
    assert {row: cell.derived for row, cell in scored.items()} == PRINTED[name]
    assert {row: cell.published for row, cell in scored.items()} == PRINTED[name]
    assert {cell.verdict.word for cell in scored.values() if cell.verdict} == {"agrees"}


def test_every_printed_one_is_tested() -> None:
    said = {
        name: {row.name for row in table.rows.values() if "iterations" in row.published}
        for name, table in SHIPPED.tables.items()
    }
    assert {name: rows for name, rows in said.items() if rows} == {name: {*rows} for name, rows in PRINTED.items()}


def of_small(found: Library, row: str) -> int:
    table = found.table("small")
    return iterations(found, table, table.rows[row])


def test_epochs_are_counted_in_steps(tmp_path: Path) -> None:
    # 10 epochs of 50,000 images in batches of 50.
    assert of_small(library(tmp_path), "plain") == 10_000


def test_a_stage_with_its_own_seed_counts_once_and_other_rows_do_not(tmp_path: Path) -> None:
    # 100 steps at first, then 10,000; its teacher is another row.
    found = library(tmp_path, ("seeds: [1, 2, 3]\n", "seeds: [1, 2, 3]\nnets: 2\n"))
    assert of_small(found, "staged") == 100 + 2 * 10_000
    assert of_small(found, "kd") == 2 * 10_000


def test_a_stage_without_a_seed_counts_for_each(tmp_path: Path) -> None:
    found = library(tmp_path, ("seeds: [1, 2, 3]\n", "seeds: [1, 2, 3]\nnets: 3\n"), ("warm: {seed: 1, ", "warm: {"))
    assert of_small(found, "staged") == 3 * 100 + 3 * 10_000


def test_the_papers_one_source_counts_once_whatever_ours_are(tmp_path: Path) -> None:
    spread = (
        ("seeds: [1, 2, 3]\n", "seeds: [1, 2, 3]\nnets: 3\n"),
        ("warm: {seed: 1, ", "warm: {seed: source, "),
        ("    stages:\n", "    sources: [1, 2, 3]\n    stages:\n"),
    )
    assert of_small(library(tmp_path, *spread), "staged") == 100 + 3 * 10_000


def test_a_row_may_have_another_number_of_networks(tmp_path: Path) -> None:
    found = library(tmp_path, ("    priority: [3, 2, 1]\n", "    priority: [3, 2, 1]\n    nets: 3\n"))
    assert of_small(found, "plain") == 30_000
    assert of_small(found, "kd") == 10_000


def test_more_networks_than_seeds_is_a_fault(tmp_path: Path) -> None:
    said = r"table\.yaml:\d+: row \w+\.nets: 4 networks need as many seeds, but there are 3"
    with pytest.raises(RecipeError, match=said):
        load(write(tmp_path, changed(SMALL, ("seeds: [1, 2, 3]\n", "seeds: [1, 2, 3]\nnets: 4\n"))))


def test_a_column_of_whole_numbers_that_agree_or_do_not(tmp_path: Path) -> None:
    table = SHIPPED.table("fsp-table1")
    row = table.rows["teacher"]
    wrong = replace(row, published={**row.published, "iterations": replace(row.published["iterations"], value=64_000)})
    text = render(
        report(Library({table.name: replace(table, rows={**table.rows, "teacher": wrong})}), table.name, tmp_path),
        "text",
    )
    assert "63000 / 63000" in text
    assert "64000 / 192000" in text
    assert "inconsistent" in text
    assert "Iterations: training steps of the row's stages" in text
