import csv
import io
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from bench.cost import Cost
from bench.counting import Costs
from bench.errors import UsageError
from bench.graph import plan
from bench.recipe import Library, load
from bench.report.model import Report
from bench.report.render import Format, render
from bench.report.table import build
from bench.store import Store
from tests.report.results import (
    GOLDEN,
    LIBRARY,
    FakeCosts,
    Results,
    line_of,
    notes_of,
)

ROOT = Path(__file__).parents[2]
SUFFIXES: dict[Format, str] = {"text": "txt", "markdown": "md", "latex": "tex", "csv": "csv", "json": "json"}


def rounded(text: str) -> str:
    """Nine digits of every number: the last ones may differ between versions of scipy and of the C library."""
    return re.sub(r"\d+\.\d{9,}(e-?\d+)?", lambda found: f"{float(found[0]):.9g}", text)


@pytest.mark.parametrize("form", get_args(Format))
def test_golden(full: Report, form: Format) -> None:
    """KDBENCH_GOLDEN=write writes the expected files anew (and fails, so that nobody leaves it on)."""
    path, text = GOLDEN / f"small.{SUFFIXES[form]}", rounded(render(full, form))
    if os.environ.get("KDBENCH_GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
        pytest.fail(f"{path.name} was written anew: read the difference, then run again without KDBENCH_GOLDEN")
    assert text == path.read_text(encoding="utf-8"), "set KDBENCH_GOLDEN=write to accept the new text"


def test_text_fits_a_terminal(full: Report) -> None:
    text = render(replace(full, smaller=None), "text")
    assert max(map(len, text.splitlines())) <= 160


def test_csv_has_full_precision_and_no_marks(full: Report) -> None:
    rows = {row["row"]: row for row in csv.DictReader(io.StringIO(render(full, "csv")))}
    assert [*rows] == [line.name for line in full.lines]
    dml = line_of(full, "dml").measured[0]
    assert float(rows["dml"]["best_mean"]) == dml.mean
    assert (rows["dml"]["best_n"], rows["dml"]["planned"], rows["dml"]["diverged"]) == ("2", "3", "1")
    assert rows["kd"]["trcost_word"] == "inconsistent"
    assert rows["plain"]["verdict_word"] == "reproduced"
    assert rows["nothing"]["available"] == "False"


def test_json_is_the_complete_sheet(full: Report) -> None:
    said = json.loads(render(full, "json"))
    assert said["footnotes"] == [*full.footnotes]
    assert [line["verdict"] and line["verdict"]["word"] for line in said["lines"]] == [
        line.verdict and line.verdict.word for line in full.lines
    ]
    assert said["lines"][0]["measured"][0]["values"] == {"1": 30.1, "2": 30.0, "3": 30.05}


def test_latex_is_balanced_and_escaped(full: Report) -> None:
    text = render(full, "latex")
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")
    assert r"100 \% made\_up \& for tests" in text
    body = text[text.index(r"\toprule") : text.index(r"\end{tabularx}")]
    widths = {line.replace(r"\&", "").count("&") for line in body.splitlines() if line.endswith(r"\\")}
    assert len(widths) == 1
    assert text.isascii()


def test_an_unknown_table_is_an_error_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'small'"):
        build(LIBRARY, "smal", Store(tmp_path), FakeCosts())


def test_a_published_protocol_is_followed(results: Results) -> None:
    for seed in (1, 2, 3):
        results.add("plain", (30.0 + seed / 100, 20.0), seed=seed)
        results.add("teacher", (90.0, 25.0 + seed / 100), seed=seed)
    (plain,), (teacher,) = results.line("plain").measured, results.line("teacher").measured
    assert (plain.protocol, plain.mean, plain.sd) == ("last", pytest.approx(30.02), pytest.approx(0.01))
    assert (teacher.protocol, teacher.mean, teacher.difference) == ("best", pytest.approx(25.02), pytest.approx(0.02))
    assert results.line("plain").verdict == plain.verdict
    assert teacher.verdict is not None
    assert teacher.verdict.word == "reproduced"


@pytest.mark.parametrize(
    ("last", "best", "word"),
    [
        (28.1, 28.0, "reproduced"),
        (29.9, 29.0, "not reproduced"),
        (29.9, 28.0, "undecided"),
    ],
)
def test_an_unknown_protocol_needs_both_to_agree(results: Results, last: float, best: float, word: str) -> None:
    for seed in (1, 2, 3):
        results.add("kd", (last + seed / 100, best + seed / 100), seed=seed)
    line = results.line("kd")
    assert [m.protocol for m in line.measured] == ["last", "best"]
    assert line.verdict is not None
    assert line.verdict.word == word
    if word == "undecided":
        assert line.verdict.reason == "last epoch: not reproduced; best epoch: reproduced"


def test_a_group_reports_its_mean_or_its_first_network(results: Results) -> None:
    results.add("dml", (27.0, 26.0), (25.0, 22.0))
    assert results.line("dml").measured[0].values == {1: 24.0}
    row = results.library.tables["small"].rows["dml"]
    table = replace(results.library.tables["small"], rows={"dml": replace(row, report="first")}, claims=())
    results.library = Library({"small": table})
    assert results.line("dml").measured[0].values == {1: 26.0}


def test_a_diverged_run_is_shown_and_not_averaged(results: Results) -> None:
    for seed in (1, 2):
        results.add("plain", (30.0, 29.0), seed=seed)
    results.add("plain", (None, 80.0), seed=3, status="diverged")
    measured = results.line("plain").measured[0]
    assert (measured.mean, measured.diverged, measured.planned) == (30.0, 1, 3)
    assert "2/3 seeds, 1 NaN" in render(results.report(), "text")


def test_a_row_whose_every_run_diverged_is_undecided(results: Results) -> None:
    results.add("plain", (None, 80.0), status="diverged")
    line = results.line("plain")
    assert line.verdict is not None
    assert (line.verdict.word, line.verdict.reason) == ("undecided", "every run diverged")
    assert line.measured[0].mean is None


def test_older_versions_are_shown_with_a_footnote(results: Results) -> None:
    for seed in (1, 2, 3):
        results.add("plain", (30.0, 29.0), seed=seed, **({"id": "paper-old", "versions": {}} if seed == 1 else {}))
    changed = "data, engine, method vanilla, network resnet, optimizer sgd, set cifar100"
    report = results.report()
    assert notes_of(report, "plain", "measured") == [f"1 of 3 runs was made by an older version of {changed}"]
    assert len(line_of(report, "plain").measured[0].values) == 3


def test_an_older_version_of_a_source_has_a_footnote_too(results: Results) -> None:
    results.add("kd", (30.0, 29.0), id="paper-old")
    (note,) = notes_of(results.report(), "kd", "measured")
    assert note == "1 of 1 runs was made by an older version of a run that they take from"


def test_the_current_version_hides_an_older_one(results: Results) -> None:
    results.add("plain", (50.0, 50.0), id="paper-old")
    results.add("plain", (30.0, 29.0))
    assert results.line("plain").measured[0].values == {1: 30.0}
    assert not notes_of(results.report(), "plain", "measured")


def test_mixed_precision_has_a_footnote(results: Results) -> None:
    results.add("plain", (30.0, 29.0))
    results.add("plain", (30.0, 29.0), seed=2, precision="float32")
    assert notes_of(results.report(), "plain", "measured") == ["runs in bfloat16 and float32"]


def test_different_trainings_of_one_teacher_have_a_footnote(results: Results) -> None:
    for seed, digest in enumerate(["one", "one", "two"], 1):
        taken = {"teacher": {"record": "any", "artifact": digest}}
        assert not notes_of(results.report(), "kd", "measured")
        results.add("kd", (30.0, 29.0), seed=seed, taken=taken)
    (note,) = notes_of(results.report(), "kd", "measured")
    assert note == "the runs saw different teachers: what the recipe names was made more than once"


def test_a_row_that_the_paper_leaves_out(full: Report) -> None:
    line = line_of(full, "nothing")
    assert (line.available, line.measured, line.verdict) == (False, (), None)
    shown = next(row for row in render(full, "markdown").splitlines() if "Left out" in row)
    assert shown.count("N/A") == shown.count("|") - 3


def test_a_row_that_cannot_be_read_says_why(results: Results) -> None:
    table = results.library.tables["small"]
    why = "table.yaml:9: row control.method: 'crd' is not known"
    rows = {**table.rows, "control": replace(table.rows["control"], stages=(), unreadable=why)}
    results.library = Library({"small": replace(table, rows=rows)})
    report = results.report()
    assert not line_of(report, "control").available
    assert notes_of(report, "control", "label")[0] == why
    assert line_of(report, "plain").available


def test_an_unscored_row_has_numbers_and_no_verdict(full: Report) -> None:
    line = line_of(full, "control")
    assert [m.mean for m in line.measured] == [30.2, 29.9]
    assert line.verdict is None
    assert notes_of(full, "control", "verdict") == ["control: every step in float32"]


def test_a_row_without_a_published_error_has_numbers_and_no_verdict(results: Results) -> None:
    table = results.library.tables["small"]
    rows = {"plain": replace(table.rows["plain"], published={})}
    results.library = Library({"small": replace(table, rows=rows, claims=())})
    results.add("plain", (30.2, 29.9))
    line = results.line("plain")
    assert ([m.mean for m in line.measured], line.verdict) == ([30.2, 29.9], None)
    assert "not published" in render(results.report(), "text")


def test_a_smaller_profile_is_never_mixed_in(results: Results) -> None:
    for seed in (1, 2):
        results.add("plain", (97.0, 96.0), seed=seed, profile="smoke")
    report = results.report("smoke")
    line = line_of(report, "plain")
    assert line.measured[0].values == {}
    assert line.verdict is not None
    assert line.verdict.word == "no runs yet"
    assert [(m.values, m.difference, m.verdict) for m in line.smaller] == [({1: 97.0, 2: 97.0}, None, None)]
    assert notes_of(report, "plain", "smaller") == ["made on synthetic100, a stand-in for cifar100"]
    text = render(report, "text")
    assert "smoke profile:" in text
    assert "not a result" in text
    assert "smoke" not in render(results.report(), "text")


def test_without_paper_runs_the_report_says_how_many_are_missing(results: Results) -> None:
    runs = len(plan(LIBRARY, ["small"], "paper").runs)
    assert f"no paper-profile run yet: {runs} runs to train" in render(results.report(), "text")


def test_provenance_is_that_of_the_paper_runs(full: Report) -> None:
    made = full.provenance
    assert (made.records, made.commits) == (14, ("0123456789abcdef", "unknown"))
    assert made.devices == ("Another GPU", "Imaginary GPU")
    assert (made.first, made.last) == ("2031-01-01T00:00:00+00:00", "2031-01-03T00:00:00+00:00")


def test_footnotes_are_numbered_by_first_use_and_never_repeated(full: Report) -> None:
    columns = ("label", "published", "measured", "verdict", *full.columns[1:], "smaller")
    used = [mark for line in full.lines for column in columns for mark in line.marks.get(column, ())]
    assert list(dict.fromkeys(used)) == list(range(1, len(full.footnotes) + 1))
    assert len(set(full.footnotes)) == len(full.footnotes)


def test_what_is_published_and_reported_can_be_an_assumption(results: Results) -> None:
    table = results.library.tables["small"]
    kd = replace(table.rows["kd"], assumed={"published.error.protocol": "inferred", "published.trcost": "copied"})
    dml = replace(table.rows["dml"], assumed={"report": "not stated"})
    rows = {**table.rows, "kd": kd, "dml": dml}
    results.library = Library({"small": replace(table, rows=rows, assumed={"published.error.source": "all of it"})})
    report = results.report()
    assert report.assumed == ("published.error.source = Table 1 (assumed): all of it",)
    assert notes_of(report, "kd", "label") == [
        "published.error.protocol = unknown (assumed): inferred",
        "published.trcost (assumed): copied",
    ]
    assert "report = mean (assumed): not stated" in notes_of(report, "dml", "label")


def test_assumptions_show_the_value_that_was_assumed(full: Report) -> None:
    assert full.assumed == (
        "schedule.batch = 50 (assumed): the paper names no batch size",
        "network (assumed): the shortcut is not stated",
    )
    assert notes_of(full, "kd", "label") == [
        "method.temperature = 4 (assumed): not stated",
        "teacher = small/teacher#1 (assumed): which run is not stated",
    ]


def test_claims_follow_both_rows_and_are_paired_by_seed(full: Report) -> None:
    kd, dml, control = full.claims
    assert kd.verdict.word == "holds"
    assert kd.verdict.n == 3
    assert (dml.verdict.word, dml.verdict.n) == ("holds", 2)
    assert control.verdict.word == "undecided"


def test_unknown_multiply_adds_leave_the_parameters(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeCosts, "get", lambda *args: Cost(None, 80_000))
    line = results.line("plain")
    assert (line.costs["params"].derived, line.costs["trcost"].derived) == (0.08, None)
    assert (line.training.own, line.training.whole) == (None, None)
    assert "Total training cost" not in render(results.report(), "text")


def test_costs_of_a_step_and_of_the_whole_training(full: Report) -> None:
    images = 50_000 * 10
    plain, kd, staged = (line_of(full, row) for row in ("plain", "kd", "staged"))
    assert kd.costs["trcost"].derived == pytest.approx(2 * (0.25 + 0.5))
    assert kd.costs["tecost"].derived == pytest.approx(0.5)
    assert plain.training.own == plain.training.whole == images * 6 * 25_000_000
    assert kd.training.own == images * 2 * (3 * 25_000_000 + 50_000_000)
    assert kd.training.whole == kd.training.own + images * 6 * 50_000_000
    assert staged.training.own == kd.training.own + 100 * 50 * 6 * 25_000_000
    assert staged.training.whole == kd.training.whole + 100 * 50 * 6 * 25_000_000
    assert line_of(full, "dml").training.own == images * 2 * (3 * 75_000_000 + 25_000_000)


def test_a_network_that_was_not_counted_is_shown_as_unknown(full: Report) -> None:
    line = line_of(full, "large")
    assert (line.costs["tecost"].derived, line.costs["tecost"].verdict, line.training.own) == (None, None, None)
    assert any("Not counted yet" in row and "2 / -" in row for row in render(full, "text").splitlines())


def ffdwv(tmp_path: Path, table: str) -> Report:
    return build(load(ROOT / "recipes"), table, Store(tmp_path), Costs.read(ROOT / "results" / "costs.json"))


def test_training_costs_of_ffdwv_contradict_their_definition(tmp_path: Path) -> None:
    report = ffdwv(tmp_path, "ffdwv-table3")
    words = {line.name: {m: c.verdict.word for m, c in line.costs.items() if c.verdict} for line in report.lines}
    assert {row: tuple(said.values()) for row, said in words.items() if said} == {
        **dict.fromkeys(["kd-resnet32", "dml-resnet32", "dml-resnet110"], ("agrees", "agrees")),
        **dict.fromkeys(["ffdwv-resnet32", "ffdwv-resnet110"], ("inconsistent", "agrees")),
    }
    for row, published in (("ffdwv-resnet32", "0.97"), ("ffdwv-resnet110", "0.59")):
        generated, note = notes_of(report, row, "trcost")
        assert generated.startswith(f"published TrCost {published} is below TeCost")
        assert "so it cannot cost less" in generated
        assert "gain in error over the vanilla net" in note


def test_printed_parameters_agree(tmp_path: Path) -> None:
    cells = [line.costs["params"] for line in ffdwv(tmp_path, "ffdwv-table2").lines]
    assert {cell.verdict.word for cell in cells if cell.verdict} == {"agrees"}
    assert sum(cell.published is not None for cell in cells) == 8


@pytest.mark.parametrize("module", ["bench.report.table", "bench.report.render"])
def test_importing_it_is_light(module: str) -> None:
    heavy = ("torch", "fvcore", "gensim", "matplotlib", "pandas", "scipy")
    code = f"import sys, {module}; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.strip() == "[]"


def test_an_accuracy_table_shows_accuracies_and_compares_them(tmp_path: Path) -> None:
    said = (GOLDEN / "recipes" / "small" / "tables.yaml").read_text().replace("metric: error", "metric: accuracy")
    said = said.replace("      error: {value: 30.0,", "      accuracy: {value: 70.0,").replace(
        " error: {", " accuracy: {"
    )
    recipe = tmp_path / "recipes" / "small" / "tables.yaml"
    recipe.parent.mkdir(parents=True)
    recipe.write_text(said.replace("columns: [error,", "columns: [accuracy,"), encoding="utf-8")
    results = Results(tmp_path, load(tmp_path / "recipes"))
    for seed, (plain, kd) in enumerate([(31.0, 29.0), (31.2, 29.1), (30.8, 29.3)], 1):
        results.add("plain", (plain, plain - 1), seed=seed)
        results.add("kd", (kd, kd - 1), seed=seed)
    (measured,) = results.line("plain").measured
    assert measured.mean == pytest.approx(69.0)
    assert measured.difference == pytest.approx(-1.0)
    assert results.line("plain").verdict.word == "not reproduced"
    text = render(results.report(), "text")
    assert "Top-1 test accuracy in %, higher is better" in text
    # A claim is about errors whatever the table shows: KD has fewer.
    assert "KD beats the plain student: holds" in text
