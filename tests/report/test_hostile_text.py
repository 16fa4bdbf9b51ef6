"""Texts that would do something to a terminal, a page or a spreadsheet, in every format and in figures."""

import csv
import io
import json
from pathlib import Path

import pytest

from bench.counting import Costs
from bench.graph import plan
from bench.report.figures import softened
from bench.report.model import Report
from bench.report.render import render
from bench.report.table import build
from bench.store import Store
from bench.text import hidden
from tests.handmade import library, record

LABEL = "=1 [a](http://b) <b>|`c` & &lt; d"
GROUP = "[1cm] -x"
NOTE = "# a `1|2` ![i](j)\n\n- <script>`"


@pytest.fixture
def report(tmp_path: Path) -> Report:
    found = library(
        tmp_path,
        ("label: Plain\n    group: Small", f"label: {json.dumps(LABEL)}\n    group: {json.dumps(GROUP)}"),
        ('paper: "Nobody et al."', 'paper: "1. Nobody"'),
        ("    priority: [3, 2, 1]\n", f"    notes: [{json.dumps(NOTE)}]\n"),
    )
    store = Store(tmp_path / "results")
    for run in plan(found, ["small"], "paper", rows=["plain"]).runs.values():
        store.add(record(run, device="GPU\x1b]0;title\a\u202e", commit="\x1b[31m"))
    return build(found, "small", store, Costs(tmp_path / "costs.json", {}))


@pytest.mark.parametrize("form", ["text", "markdown", "latex", "csv", "json"])
def test_nothing_that_steers_a_terminal(report, form):
    assert hidden(render(report, form)) is None


def test_text_tells_it(report):
    text = render(report, "text").replace("\n  ", " ")
    assert "devices: GPU\\x1b]0;title\\x07\\u202e; precision: " in text
    assert "; commits: \\x1b[31m" in text


def test_markdown_has_neither_links_nor_html_nor_more_cells(report):
    lines = render(report, "markdown").splitlines()
    row = next(line for line in lines if "=1 " in line)
    assert r"=1 \[a](http://b) \<b>\|\`c\` & \&lt; d" in row
    header = next(line for line in lines if line.startswith("|"))
    assert row.count("|") - row.count(r"\|") == header.count("|")
    assert r"\# a `1|2` !\[i](j) - \<script>\`" in "\n".join(lines)
    assert "1\\. Nobody" in lines


def test_latex_takes_nothing_for_an_option_of_a_line_break(report):
    page = render(report, "latex")
    assert r"{[}1cm] -x" in page
    assert r"=1 [a](http://b) $<$b$>$$|$\texttt{c} \& \&lt; d" in page
    assert "\n\n- " not in page


def test_csv_has_no_formulas_and_its_numbers_stay_numbers(report):
    row = next(csv.DictReader(io.StringIO(render(report, "csv"))))
    assert (row["label"], row["group"]) == (f"'{LABEL}", GROUP)
    assert float(row["last_difference"]) == 0.0
    assert not [key for key, cell in row.items() if cell.startswith(("=", "@", "\t"))]


def test_json_says_what_the_record_says(report):
    assert json.loads(render(report, "json"))["provenance"]["devices"] == ["GPU\x1b]0;title\a\u202e"]


def test_a_figure_sets_no_mathematics(tmp_path: Path):
    import numpy as np

    title = r"from $\nothing to $\x1b"
    softened(["a $b", r"$\bad$"], np.ones((1, 2)) / 2, [1.0], None, title, tmp_path / "a.svg")
    assert (tmp_path / "a.svg").stat().st_size > 1000
