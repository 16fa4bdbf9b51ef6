from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bench.report.answers import answer, claims, values
from bench.report.model import Claimed, CostCell, Report, ReportRow
from bench.report.table import build
from bench.report.verdict import Verdict
from bench.store import Store
from tests import handmade
from tests.report.pages import FakeCosts


@pytest.fixture
def report(tmp_path: Path) -> Callable[..., Report]:
    """Makes a table whose rows, claims and costs have these verdicts."""
    bare = build(handmade.library(tmp_path), "small", Store(tmp_path / "results"), FakeCosts())
    wrong = {"trcost": CostCell(1.0, 2.0, Verdict("inconsistent", "it cannot be"))}

    def make(verdicts: Sequence[Verdict | None], judged: Sequence[Verdict] = (), costs: int = 0) -> Report:
        rows = (
            ReportRow(str(i), f"Row {i}", "", True, verdict=verdict, costs=wrong if i < costs else {})
            for i, verdict in enumerate(verdicts)
        )
        claimed = (Claimed(f"claim {i}", "better", "worse", verdict) for i, verdict in enumerate(judged))
        return replace(bare, lines=tuple(rows), claims=tuple(claimed))

    return make


GOOD, BAD = Verdict("reproduced", "", 5), Verdict("not reproduced", "", 5)
OPEN, NONE = Verdict("undecided", "too few seeds", 3), Verdict("no runs yet", "")


@pytest.mark.parametrize(
    ("verdicts", "sentence"),
    [
        ([GOOD], "The only published value is reproduced (n = 5)."),
        ([NONE], "The only published value has no runs yet."),
        ([GOOD, GOOD], "All 2 published values are reproduced (n = 5)."),
        ([BAD, BAD, None], "None of 2 published values is reproduced (n = 5)."),
        ([NONE, NONE], "None of 2 published values has a run yet."),
        (
            [NONE, OPEN, BAD, GOOD, Verdict("undecided", "", 4), BAD],
            "Of 6 published values, 2 are not reproduced (n = 5), 1 is reproduced (n = 5), 2 are undecided (n = 3 to 4)"
            " and 1 has no runs yet.",
        ),
        (
            [Verdict("impossible", "", 5), GOOD],
            "Of 2 published values, 1 is impossible (n = 5) and 1 is reproduced (n = 5).",
        ),
        ([None], "No published value is compared here: every row is a control or a try."),
    ],
)
def test_values_in_a_sentence(report: Callable[..., Report], verdicts: list[Verdict | None], sentence: str) -> None:
    assert answer(report(verdicts)) == (sentence,)


def test_claims_come_first_and_costs_that_fail_last(report: Callable[..., Report]) -> None:
    held = [Verdict("holds", "n = 5, p = 0.01", 5), Verdict("contradicted", "", 5), NONE]
    assert answer(report([GOOD, GOOD], held, costs=2)) == (
        "Of 3 claims, 1 holds (n = 5), 1 is contradicted (n = 5) and 1 has no runs yet.",
        "All 2 published values are reproduced (n = 5).",
        "2 published costs contradict the table's own definition.",
    )


def test_each_claim_and_each_value_with_its_reason(report: Callable[..., Report]) -> None:
    said = report([GOOD, None, OPEN], [Verdict("holds", "n = 5, p = 0.01", 5)])
    assert [(item.what, item.word, item.reason) for item in claims(said)] == [("claim 0", "holds", "n = 5, p = 0.01")]
    assert [(item.what, item.word) for item in values(said)] == [("Row 0", "reproduced"), ("Row 2", "undecided")]
    assert values(said)[1].reason == "not published. Too few seeds."
