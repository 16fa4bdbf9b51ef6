"""How many seeds the verdicts of a table need, from the spread seen so far or the table's."""

from pathlib import Path

import pytest

from bench.report.inference import seeds_needed
from bench.report.needs import Need, needs
from tests.report.results import LIBRARY, Results

TABLE = LIBRARY.table("small")


def found(results: Results) -> dict[str, Need]:
    return {need.row: need for need in needs(results.report(), TABLE)}


def test_nothing_is_known_where_no_row_has_two_runs(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.add("plain", (30.0, 29.0))
    assert found(results) == {}


def test_a_row_without_a_spread_takes_that_of_its_table(tmp_path: Path) -> None:
    results = Results(tmp_path)
    for seed, (plain, teacher, control) in enumerate([(30.0, 25.0, 30.0), (30.2, 25.6, 30.4)], 1):
        results.add("plain", (plain, plain), seed=seed)
        results.add("teacher", (teacher, teacher), seed=seed)
        results.add("control", (control, control), seed=seed)
    found_needs = found(results)
    sds = [0.2 / 2**0.5, 0.4 / 2**0.5, 0.6 / 2**0.5]
    assert found_needs["plain"].sd == pytest.approx(sds[0])
    assert (found_needs["plain"].seen, found_needs["plain"].done) == (True, 2)
    assert found_needs["kd"].sd == pytest.approx(sds[1])
    assert (found_needs["kd"].seen, found_needs["kd"].done) == (False, 0)
    assert found_needs["teacher"].seeds == seeds_needed(sds[2], TABLE.rows["teacher"].published["error"], 0.5)
    # Controls have no verdict, and what the paper leaves out has none either.
    assert found_needs.keys() == {"plain", "teacher", "kd", "dml", "staged", "large"}


def test_the_wider_protocol_counts(tmp_path: Path) -> None:
    results = Results(tmp_path)
    for seed, (last, best) in enumerate([(28.0, 27.0), (28.1, 27.8)], 1):
        results.add("kd", (last, best), seed=seed)
    assert found(results)["kd"].sd == pytest.approx(0.8 / 2**0.5)
