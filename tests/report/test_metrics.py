"""A report about another metric than the error: higher is better, and every text names it."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.counting import Costs
from bench.graph import plan
from bench.metrics import MeanIoU
from bench.recipe import Cell, Library, load
from bench.record import Result, Score
from bench.report.audit import audit
from bench.report.details import details
from bench.report.forest import forest
from bench.report.html.page import read
from bench.report.html.write import write_page
from bench.report.model import Report
from bench.report.plots import cost_plot, forest_plot
from bench.report.render import render
from bench.report.table import build
from bench.report.tradeoff import tradeoff
from bench.store import Store
from tests import handmade
from tests.report.results import line_of

REPO = Path(__file__).parents[2]
NAME = "survey-segmentation"
COSTS = Costs.read(REPO / "results" / "costs.json")
# By row: the last mean IoU of each seed. The error goes the other way, and by other steps.
LAST = {"teacher": (80.0, 81.0, 82.0), "baseline": (50.2, 50.3, 50.4), "kd": (55.0, 55.5, 55.8)}


@pytest.fixture(scope="module")
def library() -> Library:
    """The shipped table, in which the student alone and KD have published values."""
    shipped = load(REPO / "recipes")
    table = shipped.table(NAME)
    cells = {"baseline": 50.3, "kd": 65.0}
    rows = {
        name: replace(row, unscored=None, published={"mean_iou": Cell(cells[name], "here", protocol="last")})
        if name in cells
        else row
        for name, row in table.rows.items()
    }
    return Library({**shipped.tables, NAME: replace(table, rows=rows)})


def score(last: float) -> Score:
    return {"last": last, "best": last + 1, "best_epoch": 2}


@pytest.fixture
def store(library: Library, tmp_path: Path) -> Store:
    made = Store(tmp_path / "results")
    runs = plan(library, [NAME], "paper").rows
    for row, values in LAST.items():
        for (seed, run), last in zip(runs[NAME, row].items(), values, strict=True):
            curve = [handmade.epoch(number, 20.0) for number in (1, 2, 3)]
            for entry, value in zip(curve, (last - 10, last + 1, last), strict=True):
                entry["networks"][0]["test_scores"] = {"mean_iou": value}
            result = Result(20.0, 20.0, 1, {"mean_iou": score(last)})
            made.add(handmade.record(run, results=[result], curve=curve, artifact=f"{row}{seed}"))
    return made


@pytest.fixture
def report(library: Library, store: Store) -> Report:
    return build(library, NAME, store, COSTS)


def test_cells_are_of_the_metric_and_not_of_the_error(report: Report) -> None:
    last, best = line_of(report, "teacher").measured
    assert (last.mean, last.sd) == (81.0, 1.0)
    assert best.mean == 82.0
    assert line_of(report, "kd").measured[0].difference == pytest.approx(55.4333 - 65, abs=1e-3)


def test_verdicts_are_about_the_metric(report: Report) -> None:
    assert line_of(report, "baseline").verdict.word == "reproduced"
    assert line_of(report, "kd").verdict.word == "not reproduced"


def test_a_higher_value_is_a_better_one(report: Report, library: Library) -> None:
    better, pairs = report.claims
    assert better.verdict.word == "holds"
    assert better.verdict.d == pytest.approx(55.4333 - 50.3, abs=1e-3)
    assert pairs.verdict.word == "no runs yet"
    points = [p for p in tradeoff(report, library.table(NAME), COSTS) if (p.kind, p.series) == ("inference", "ours")]
    # The student alone costs as much as KD's and is worse; the teacher is dearer and better.
    assert {point.row: point.best for point in points} == {"teacher": True, "baseline": False, "kd": True}


def test_a_value_that_is_passed_on_the_way_up_is_told(library: Library, store: Store) -> None:
    table = library.table(NAME)
    low = replace(table.rows["kd"], published={"mean_iou": Cell(50.0, "here", protocol="last")})
    changed = Library({**library.tables, NAME: replace(table, rows={**table.rows, "kd": low})})
    notes = " ".join(build(changed, NAME, store, COSTS).footnotes)
    assert "the published value lies between epochs 1 and 2 of our runs" in notes


def test_curves_and_details_are_of_the_metric(library: Library, store: Store) -> None:
    table = library.table(NAME)
    found = details(table, table.rows["kd"], plan(library, [NAME], "paper"), store)
    assert [(run.last, run.best) for run in found.runs] == [(value, value + 1) for value in LAST["kd"]]
    assert found.curves[0].values == (45.0, 56.0, 55.0)


@pytest.mark.parametrize("form", ["text", "markdown", "latex", "csv", "json"])
def test_every_format_has_it(report: Report, form: str) -> None:
    text = render(report, form)
    assert "55.43" in text
    if form not in ("csv", "json"):
        assert "Mean intersection over union of the classes on the test images" in text.replace("\n", " ")
        assert "Top-1" not in text
    if form == "json":
        assert '"metric": "mean_iou"' in text


def test_figures_and_the_page_name_it(report: Report, library: Library, store: Store, tmp_path: Path) -> None:
    import matplotlib as mpl

    with mpl.rc_context({"svg.fonttype": "none"}):
        forest_plot(forest(report), report.metric, "t", tmp_path / "forest.svg")
        points = tradeoff(report, library.table(NAME), COSTS)
        cost_plot(points, report.metric, "t", tmp_path / "cost.svg")
    page = write_page(read(library, NAME, store, COSTS))
    assert "<h2>Mean IoU against cost</h2>" in page
    assert "Test mean IoU (%)" in page
    assert "Test error" not in page
    assert report.metric == MeanIoU()


def test_rules_for_shares_of_images_leave_it_alone(library: Library) -> None:
    assert [finding for finding in audit(library, NAME) if finding.rule != "cost-floor"] == []
