"""The order of rows that no paper has: against SciPy's own range test, a simulation, and by hand."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import pytest
from scipy.stats import tukey_hsd

from bench.recipe import Cell
from bench.report.model import Measured, Report, ReportRow
from bench.report.ranking import least_difference, rankings
from bench.report.table import build
from bench.store import Store
from tests import handmade
from tests.report.pages import FakeCosts


def cell(values: Sequence[float], sources: int = 3, protocol: str = "last") -> Measured:
    sd = stdev(values) if len(values) > 1 else None
    return Measured(protocol, dict(enumerate(values, 1)), 3, 0, sources, fmean(values), sd, None, None)  # type: ignore[arg-type]


@pytest.fixture
def report(tmp_path: Path) -> Callable[..., Report]:
    """Makes a table of errors with these rows: label, group and values."""
    bare = build(handmade.library(tmp_path), "small", Store(tmp_path / "results"), FakeCosts())

    def make(rows: Sequence[tuple[str, str, Measured]], **more: object) -> Report:
        lines = [ReportRow(label, label, group, True, measured=(found,), **more) for label, group, found in rows]  # type: ignore[arg-type]
        return replace(bare, lines=tuple(lines))

    return make


ROWS = [
    ("A", "One", cell([30.0, 31.0, 32.0])),
    ("B", "One", cell([28.0, 29.0, 30.0])),
    ("C", "One", cell([28.5, 29.5, 30.5])),
    ("D", "Two", cell([20.0, 21.0, 22.0])),
]


def test_by_hand(report: Callable[..., Report]) -> None:
    # Each row has a standard deviation of 1, and q(0.95; 3 rows, 6 degrees of freedom) is 4.339 in every table of it.
    assert least_difference([found for _, group, found in ROWS if group == "One"]) == pytest.approx(
        4.339 / 3**0.5, abs=1e-3
    )
    # The least error is the best; a group of one row has no order.
    assert rankings(report(ROWS)) == (
        "One: B 29.00, C 29.50, A 31.00 (mean error after the last epoch, n = 3). Means less than 2.51 apart are not"
        " told apart (Tukey's range test of 3 rows at 5 %).",
    )


@pytest.mark.parametrize("rows", [3, 7, 15])
def test_two_means_as_far_apart_as_that_have_a_p_value_of_a_twentieth(rows: int) -> None:
    draws = np.random.default_rng(rows).normal(size=(rows, 4))
    draws -= draws.mean(axis=1, keepdims=True)
    least = least_difference([cell(list(row)) for row in draws])
    draws[0] += least
    assert tukey_hsd(*draws).pvalue[0, 1] == pytest.approx(0.05, abs=1e-4)


def test_chance_alone_sets_rows_apart_in_one_of_twenty_tables() -> None:
    rows, runs, trials = 6, 3, 4000
    draws = np.random.default_rng(0).normal(size=(trials, rows, runs))
    unit = least_difference([cell([-1.0, 0.0, 1.0])] * rows)  # of a pooled standard deviation of 1
    pooled = np.sqrt(draws.var(axis=2, ddof=1).mean(axis=1))
    apart = np.ptp(draws.mean(axis=2), axis=1) > unit * pooled
    # Three standard errors of a share of 5 % in as many trials.
    assert apart.mean() == pytest.approx(0.05, abs=3 * (0.05 * 0.95 / trials) ** 0.5)


def test_rows_with_fewer_runs_or_one_source_are_told(report: Callable[..., Report]) -> None:
    rows = [*ROWS[:2], ("C", "One", cell([28.5, 30.5], sources=1)), ("E", "One", cell([10.0]))]
    (sentence,) = rankings(report(rows))
    assert "E 10.00" not in sentence
    assert "(mean error after the last epoch, n = 2 to 3)" in sentence
    assert "are not told apart, given the one source that a row's seeds share (" in sentence


def test_no_order_beside_published_values_or_of_two_rows(report: Callable[..., Report]) -> None:
    assert rankings(report(ROWS[:2])) == ()
    assert rankings(report(ROWS, published=Cell(30.0, "made up"))) == ()


def test_a_smaller_profile_stands_in_and_says_so(report: Callable[..., Report]) -> None:
    made = report(ROWS)
    lines = tuple(replace(line, measured=(), smaller=line.measured) for line in made.lines)
    (sentence,) = rankings(replace(made, smaller="short", lines=lines))
    assert "n = 3, short profile, not a result)" in sentence
