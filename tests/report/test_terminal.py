"""What a person reads first, and a table that fits the terminal that it is read in."""

import re
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.errors import UsageError
from bench.report.formats.fit import Columns, fit
from bench.report.layout import Entry, Grid, lay_out, numbered
from bench.report.model import Report
from bench.report.render import render
from tests.report.results import Results


def table(text: str) -> str:
    """From the main table on."""
    return text.partition("the control beats KD")[2].partition("\n\n")[2]


def widest(text: str) -> int:
    return max(map(len, text.splitlines()))


def marks(text: str) -> list[int]:
    """The numbers of the notes in the order in which a table names them."""
    return [int(number) for found in re.findall(r"\[([\d,]+)\]", text) for number in found.split(",")]


def test_the_answer_and_the_claims_stand_above_the_table(full: Report) -> None:
    text = render(full, "text")
    order = [
        "A small table",
        "In short:",
        "Of 3 claims, 2 hold",
        "Claims:",
        "KD beats",
        "Plain student    30.00",
        "Notes:",
    ]
    places = [text.index(said) for said in order]
    assert places == sorted(places)


def test_notes_are_numbered_as_they_are_read() -> None:
    def row(*of_each: tuple[int, ...]) -> tuple[Entry, ...]:
        return tuple(Entry(("x",), each) for each in of_each)

    grid = Grid("", ("group", "label", "verdict"), row((), (), ()), (row((), (3,), (1,)), row((), (2, 3), (5,))))
    again, notes = numbered(grid, ("a", "b", "c", "never named", "e"))
    assert [[entry.marks for entry in own[1:]] for own in again.rows] == [[(1,), (2,)], [(1, 3), (4,)]]
    assert notes.items == ("c", "a", "b", "e")


@pytest.mark.parametrize("width", [None, 160, 100, 80, 44])
@pytest.mark.parametrize("rows", [(), ("kd", "dml")])
def test_every_note_is_named_and_none_before_the_one_above_it(
    results: Results, full: Report, width: int | None, rows: tuple[str, ...]
) -> None:
    text = render(results.report("smoke", rows), "text", width=width)
    shown, _, rest = table(text).partition("How to read it") if not rows else text.partition("How to read it")
    listed = re.findall(r"^\[(\d+)\] ", rest, re.MULTILINE)
    assert [*dict.fromkeys(marks(re.sub(r"\n +(?=\[)", " ", shown)))] != []
    assert listed == [str(number) for number in sorted({*marks(shown)})]
    assert listed == [str(number) for number in range(1, len(listed) + 1)]


def test_a_wide_terminal_has_the_table_that_a_file_has(full: Report) -> None:
    assert table(render(full, "text", width=300)) == table(render(full, "text"))


def test_first_the_costs_give_way(full: Report) -> None:
    text = render(replace(full, smaller=None), "text", width=80)
    assert widest(text) <= 80
    assert re.search(r"^Row +Published +Ours +Diff\. +Verdict", text, re.MULTILINE)
    assert "\nSmall:\nPlain student" in text
    assert "Left out at 80 columns: TeCost, Params (M), TrCost; --format csv has all." in text
    assert "TrCost: 1e8 FLOPs" not in text


def test_then_each_row_is_a_list_that_has_everything(full: Report) -> None:
    text = render(full, "text", width=44)
    assert widest(text) <= 44
    assert (
        "Small:\nPlain student\n  Published: 30.00 ± 0.20, sd, n=3, last\n  Ours: last 30.05 ± 0.05, n=3\n"
        "  Diff.: +0.05\n  Verdict: reproduced, 80 % power: 0.61\n  TrCost: 0.5 / 0.50, agrees\n"
    ) in text
    assert "Left out at" not in text


WORDS = st.text("abcdefghij-/", min_size=1, max_size=30)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.integers(40, 200), st.lists(WORDS, min_size=1, max_size=8), WORDS)
def test_no_line_is_too_long_and_no_word_is_broken(full: Report, width: int, words: list[str], group: str) -> None:
    lines = tuple(replace(line, label=" ".join(words), group=group) for line in full.lines)
    text = render(replace(full, lines=lines), "text", width=width)
    assert widest(text) <= width
    assert {*words, f"{group}:" if f"{group}:" in text.split() else group} <= {*text.split()}


def test_a_word_longer_than_the_terminal_is_broken_since_it_must(full: Report) -> None:
    lines = (replace(full.lines[0], label="x" * 10_000), *full.lines[1:])
    assert widest(render(replace(full, lines=lines), "text", width=80)) <= 80


def test_a_number_keeps_its_spread(full: Report) -> None:
    for width in range(44, 160, 7):
        assert "last 30.05 ± 0.05" in render(full, "text", width=width)


def test_a_column_gives_way_no_further_than_its_longest_word() -> None:
    columns = Columns(("group", "label"), (("G",), ("R",)), ((("a bb ccc" * 4,), ("dddddddddddddddddddddddd",)),))
    fitted = fit(columns, 17 + 2 + 24)
    assert fitted is not None
    assert fitted[1] == [17, 24]
    headed = fit(columns, 17 + 2 + 23)
    assert headed is not None
    assert (headed[0].names, headed[0].groups, headed[1]) == (("label",), ("a bb ccc" * 4,), [24])
    assert fit(columns, 23) is None


@pytest.mark.parametrize("form", ["text", "markdown"])
def test_what_no_row_has_is_no_column(results: Results, form: str) -> None:
    results.add("control", (30.2, 29.9))
    text = render(results.report(rows=["control"]), form)  # type: ignore[arg-type]
    assert not re.search(r"\bPublished +(\||  )", text)
    assert "Diff." not in text
    assert "TrCost" in text
    assert lay_out(results.report(rows=["control"])).table.columns == (
        "group",
        "label",
        "measured",
        "verdict",
        "trcost",
        "tecost",
        "params",
    )


def test_in_brief(full: Report) -> None:
    text = render(full, "text", brief=True)
    assert text.partition("Claims:")[0] == render(full, "text").partition("Claims:")[0]
    assert re.search(r"Target +Row +Verdict\nnetwork", text)
    assert text.endswith("no runs yet\n")
    assert not marks(text)
    assert "| Small" in render(full, "markdown", brief=True)
    assert "<sup>" not in render(full, "markdown", brief=True)


def test_some_rows_and_the_claims_that_name_them(results: Results, full: Report) -> None:
    report = results.report(rows=["dml", "plain"])
    assert [line.name for line in report.lines] == ["plain", "dml"]
    assert [claimed.text for claimed in report.claims] == ["KD beats the plain student", "DML beats the plain student"]
    whole = {line.name: line.holm for line in full.lines}
    assert {line.name: line.holm for line in report.lines} == {name: whole[name] for name in ("plain", "dml")}
    with pytest.raises(UsageError, match="no row 'plane' in small; did you mean 'plain'"):
        results.report(rows=["plane"])


def test_claims_of_a_smaller_profile_are_no_result(results: Results) -> None:
    for seed, gain in ((1, 1.0), (2, 1.2)):
        results.add("plain", (60.0, 59.0), seed=seed, profile="smoke")
        results.add("kd", (60.0 - gain, 59.0 - gain), seed=seed, profile="smoke")
    text = render(results.report("smoke"), "text")
    paper, _, tried = text.partition("Claims, smoke profile: not a result:\n")
    assert "KD beats the plain student: no runs yet" in paper
    assert tried.startswith("- KD beats the plain student: holds, given one teacher")
    assert "DML beats" not in tried.partition("\n\n")[0]
    assert "not a result" not in render(results.report(), "text")
