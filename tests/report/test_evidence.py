"""What a verdict depends on, and what other epochs and other rows say of a number that is not reproduced."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.recipe import Claim, Library, Ref, Row
from bench.recipe.model import Cell
from bench.record import Result
from bench.report.model import ReportRow
from bench.report.render import render
from tests.report.results import LIBRARY, Results, notes_of


def library(claims: tuple[Claim, ...] = (), table: dict[str, Any] | None = None, **rows: dict[str, Any]) -> Library:
    """The small library with some of its rows changed."""
    small = LIBRARY.table("small")
    changed = {name: replace(small.rows[name], **fields) for name, fields in rows.items()}
    return Library({"small": replace(small, rows={**small.rows, **changed}, claims=claims, **(table or {}))})


def word(line: ReportRow) -> str:
    assert line.verdict is not None
    return line.verdict.text


def fill(results: Results, row: str, values: list[float], **said: Any) -> None:
    for seed, value in enumerate(values, 1):
        results.add(row, (value, value), seed=seed, **said)


def curve(*errors: float) -> list[dict[str, Any]]:
    return [{"epoch": i, "networks": [{"test_error": error}]} for i, error in enumerate(errors, 1)]


NEAR, FAR = [30.0, 30.05, 29.95], [32.0, 32.05, 31.95]


def test_the_word_is_plain_where_nothing_is_assumed_and_all_seeds_are_done(tmp_path: Path) -> None:
    results = Results(tmp_path, library(table={"assumed": {}}))
    fill(results, "plain", FAR)
    assert word(results.line("plain")) == "not reproduced"


@pytest.mark.parametrize("path", ["schedule.batch", "schedule", "optimizer.sgd.weight_decay", "initial"])
@pytest.mark.parametrize("where", ["table", "row"])
def test_training_that_was_assumed(tmp_path: Path, path: str, where: str) -> None:
    said = {path: "not stated"}
    table, row = (said, {}) if where == "table" else ({}, said)
    results = Results(tmp_path, library(table={"assumed": table}, plain={"assumed": row}))
    fill(results, "plain", FAR)
    assert word(results.line("plain")) == "not reproduced under the assumed recipe"


def test_other_assumptions_do_not_count(tmp_path: Path) -> None:
    results = Results(tmp_path, library(table={"assumed": {"network": "x", "data.mean": "x", "method": "x"}}))
    fill(results, "plain", FAR)
    assert word(results.line("plain")) == "not reproduced"


def test_a_part_of_the_seeds_is_interim(tmp_path: Path) -> None:
    results = Results(tmp_path)
    fill(results, "plain", NEAR[:2])
    assert word(results.line("plain")) == "reproduced, interim"
    assert "Interim: some planned seeds are still to come" in render(results.report(), "text")
    results.add("plain", (29.95, 29.95), seed=3)
    assert word(results.line("plain")) == "reproduced"
    assert "Interim" not in render(results.report(), "text")


def test_survivors_are_said_to_be_some(tmp_path: Path) -> None:
    results = Results(tmp_path)
    fill(results, "plain", NEAR[:2])
    results.add("plain", (None, 80.0), seed=3, status="diverged")
    assert word(results.line("plain")) == "reproduced, by the 2 of 3 seeds that did not diverge"


def test_one_teacher_makes_verdict_and_claim_conditional(tmp_path: Path) -> None:
    results = Results(tmp_path, library((Claim("KD beats the plain student", "kd", "plain"),)))
    fill(results, "kd", [28.0, 28.05, 27.95])
    fill(results, "plain", NEAR)
    assert word(results.line("kd")) == "reproduced, given one teacher"
    report = results.report()
    assert notes_of(report, "kd", "verdict") == [
        "all runs take from small/teacher#1, whose own spread no interval here can have"
    ]
    assert "holds, given one teacher (small/teacher#1) (n = 3" in render(report, "text").replace("\n  ", " ")


def spread() -> dict[str, Any]:
    """The row kd with teachers 1, 1 and 2."""
    row = LIBRARY.table("small").rows["kd"]
    stage = replace(row.stages[0], teachers=(replace(row.stages[0].teachers[0], seed="source"),))
    return {"stages": (stage,), "sources": {1: 1, 2: 1, 3: 2}}


def test_several_teachers_do_not(tmp_path: Path) -> None:
    results = Results(tmp_path, library((Claim("KD beats the plain student", "kd", "plain"),), kd=spread()))
    fill(results, "kd", [28.0, 28.2, 28.3])
    fill(results, "plain", NEAR)
    measured = results.line("kd").measured[0]
    assert (measured.sources, measured.mean) == (2, pytest.approx(28.2))
    assert measured.sd == pytest.approx((0.2**2 / 2 + 0.25 * 0.02) ** 0.5)
    assert "n=3, 2 sources" in render(results.report(), "text")
    # Of two sources little is known: one degree of freedom.
    assert word(results.line("kd")) == "undecided"
    assert results.report().claims[0].verdict.reason.startswith("n = 3 of 2 sources, mean difference 1.79")


def test_the_first_source_alone_is_conditional_and_interim(tmp_path: Path) -> None:
    results = Results(tmp_path, library(kd=spread()))
    fill(results, "kd", [28.0, 28.02])
    assert word(results.line("kd")) == "reproduced, given one teacher, interim"


def test_what_two_protocols_depend_on_is_said_once(tmp_path: Path) -> None:
    results = Results(tmp_path)
    for seed, (last, best) in enumerate([(30.0, 29.0), (30.05, 29.01)], 1):
        results.add("kd", (last, best), seed=seed)
    assert word(results.line("kd")) == "not reproduced under the assumed recipe, given one teacher, interim"


def test_a_margin_is_half_of_what_a_claim_gains(tmp_path: Path) -> None:
    claims = (Claim("KD gains", "kd", "plain"), Claim("no number", "control", "plain"))
    published = {"error": Cell(29.67, "", protocol="last")}
    alone = {"error": Cell(30.0, "", protocol="last")}
    results = Results(tmp_path, library(claims, kd={"published": published}, plain={"published": alone}))
    fill(results, "plain", [30.4, 30.41, 30.39])
    line = results.line("plain")
    assert (line.margin, results.line("kd").margin, results.line("teacher").margin) == (0.165, 0.165, 0.5)
    assert notes_of(results.report(), "plain", "verdict") == [
        "margin 0.165: half of the published difference of 0.33 from KD | T*"
    ]
    assert word(line) == "not reproduced under the assumed recipe"
    assert line.verdict is not None
    assert "the margin of 0.165" in line.verdict.reason


@pytest.mark.parametrize(("gain", "margin"), [(0.998, 0.499), (1.0, 0.5), (1.2, 0.5), (0.0, 0.5)])
def test_a_margin_is_never_wider_than_the_tables(tmp_path: Path, gain: float, margin: float) -> None:
    claims = (Claim("KD gains", "kd", "plain"),)
    published = {"error": Cell(30 - gain, "", protocol="last")}
    results = Results(tmp_path, library(claims, kd={"published": published}))
    assert results.line("plain").margin == pytest.approx(margin)


def test_a_row_may_name_what_the_paper_compares_it_with(tmp_path: Path) -> None:
    ref = Ref("small", "teacher", "", None, "")
    results = Results(tmp_path, library(dml={"compared_with": ref, "published": {"error": Cell(25.4, "")}}))
    assert (results.line("dml").margin, results.line("teacher").margin) == (0.2, 0.2)
    assert results.line("kd").margin == 0.5


def test_an_ensemble_claim_narrows_no_margin(tmp_path: Path) -> None:
    claims = (Claim("alike", "kd", "plain", alike="ensembles"),)
    results = Results(tmp_path, library(claims, kd={"published": {"error": Cell(29.9, "")}}))
    assert results.line("plain").margin == 0.5


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        ((40.0, 31.0, 27.0, 26.0), "the published value lies between epochs 2 and 3 of our runs"),
        ((29.0, 28.0, 27.0, 26.0), "the published value is passed within the first epoch of our runs"),
        ((40.0, 39.0, 38.0, 36.0), None),
    ],
)
def test_the_epochs_between_which_a_published_number_lies(
    tmp_path: Path, errors: tuple[float, ...], said: str | None
) -> None:
    results = Results(tmp_path)
    fill(results, "plain", [errors[-1]] * 3, curve=curve(*errors))
    assert notes_of(results.report(), "plain", "verdict") == ([said] if said else [])


BOUND = {"plain": {"bounded_by": "control", "published": {"error": Cell(20.0, "", protocol="last")}}}


def bounded(tmp_path: Path, *errors: float, seeds: int = 2, best: float | None = None) -> ReportRow:
    """The row plain, far from 20, beside a control whose epochs had these errors."""
    results = Results(tmp_path, library(**BOUND))
    fill(results, "plain", FAR)
    for seed in range(1, seeds + 1):
        reached = Result(errors[-1], best or min(errors), 1)
        results.add("control", (reached.last_error, reached.best_error or 0), seed=seed, curve=curve(*errors))
    return results.line("plain")


def test_a_plateau_below_the_published_number_makes_it_impossible(tmp_path: Path) -> None:
    line = bounded(tmp_path, 40.0, 31.0, 30.0, 30.1, 30.05)
    assert word(line) == "impossible"
    assert line.verdict is not None
    assert line.verdict.reason == "trained to its plateau (Control), the network reaches 30.00 at its best epoch"


@pytest.mark.parametrize(
    ("errors", "more"),
    [
        ((40.0, 35.0, 32.0, 31.0, 30.0), {}),  # still falling
        ((40.0, 31.0, 30.0, 30.1, 30.05), {"seeds": 1}),  # a seed to come
        ((40.0, 31.0, 20.1, 20.1, 20.05), {}),  # it is reached
        ((40.0, 31.0, 15.0, 15.1, 15.05), {}),  # and more
    ],
)
def test_nothing_less_does(tmp_path: Path, errors: tuple[float, ...], more: dict[str, int]) -> None:
    assert word(bounded(tmp_path, *errors, **more)) == "not reproduced under the assumed recipe"


def test_what_is_reproduced_is_not_impossible(tmp_path: Path) -> None:
    results = Results(tmp_path, library(plain={"bounded_by": "control"}))
    fill(results, "plain", NEAR)
    fill(results, "control", [35.0, 35.0], curve=curve(36.0, 35.0, 35.0, 35.0, 35.0))
    assert word(results.line("plain")) == "reproduced"


def test_the_nearest_of_several_hypotheses_is_told_beside_the_verdict(tmp_path: Path) -> None:
    hypothesis = {"hypothesis_of": "plain", "unscored": "a hypothesis", "published": {}}
    results = Results(tmp_path, library(control=hypothesis, large=hypothesis))
    fill(results, "plain", FAR)
    assert notes_of(results.report(), "plain", "verdict") == []
    fill(results, "control", [30.4, 30.6])
    assert notes_of(results.report(), "plain", "verdict") == [
        'the hypothesis "Control" (Small) gives 30.50 (last, +0.50)'
    ]
    fill(results, "large", [29.7, 29.9])
    assert notes_of(results.report(), "plain", "verdict") == [
        'the hypothesis "Not counted yet" (Large) gives 29.80 (last, -0.20),'
        " the nearest of 2 hypotheses, chosen after the fact"
    ]
    # Never instead of it.
    assert results.line("plain").measured[0].mean == pytest.approx(32.0)
    assert word(results.line("plain")) == "not reproduced under the assumed recipe"


def test_holm_is_told_where_something_is_not_reproduced(tmp_path: Path) -> None:
    results = Results(tmp_path)
    fill(results, "plain", FAR)
    fill(results, "teacher", [25.0, 25.4, 24.7])
    plain, teacher = results.line("plain"), results.line("teacher")
    assert plain.verdict is not None
    assert plain.verdict.p is not None
    assert plain.holm == pytest.approx(2 * plain.verdict.p)
    text = render(results.report(), "text")
    assert f"Holm: p = {plain.holm:.2g}" in text
    assert text.count("Holm: p ") == 1
    assert teacher.holm is not None
    assert "up to 0.1 of 2 verdicts" in text.replace("\n  ", " ")


def test_mixed_devices_have_a_footnote(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.add("plain", (30.0, 29.0))
    results.add("plain", (30.0, 29.0), seed=2, device="Another GPU")
    assert notes_of(results.report(), "plain", "measured") == ["runs on Another GPU and Imaginary GPU"]


def test_precision_and_libraries_are_told_always(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.add("plain", (30.0, 29.0), libraries={"torch": "2.11.0", "numpy": "2.4.6"})
    text = render(results.report(), "text").replace("\n  ", " ")
    assert "precision: bfloat16; libraries: numpy 2.4.6, torch 2.11.0; commits" in text


def test_an_unscored_row_with_a_published_number_has_no_verdict(tmp_path: Path) -> None:
    results = Results(tmp_path, library(plain={"unscored": "another training"}))
    fill(results, "plain", FAR)
    line = results.line("plain")
    assert (line.verdict, line.margin, line.holm) == (None, None, None)
    assert line.measured[0].difference == pytest.approx(2.0)


def test_shipped_rows_have_the_margins_of_their_claims() -> None:
    from bench.recipe import load
    from bench.report.margin import margin_of

    shipped = load(Path(__file__).parents[2] / "recipes")

    def margin(table: str, row: str) -> float:
        found: Row = shipped.table(table).rows[row]
        return margin_of(shipped, shipped.table(table), found)[0]

    assert margin("ffdwv-table2", "ffdwv-resnet32-cifar10") == 0.165
    assert margin("ffdwv-table2", "ffdwv-resnet110-cifar10") == 0.22
    assert margin("ffdwv-table2", "ffdwv-resnet32-cifar100") == margin("ffdwv-table3", "ffdwv-resnet32") == 0.44
    assert margin("fsp-cifar10", "student-short") == 0.195
    assert margin("zskd", "mnist-zskd") == 0.285
    assert margin("zskd", "mnist-student-kd") == margin("zskd", "mnist-student") == 0.165
    assert margin("dml-table2", "dml") == 0.5
