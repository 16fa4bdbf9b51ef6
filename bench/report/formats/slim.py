"""A table's main columns, for one column of a paper: rows, the published number, ours, and the verdict's word."""

from collections.abc import Callable, Mapping

from bench.recipe import Cell
from bench.report.footnotes import Footnotes
from bench.report.layout import ABSENT, Entry, Grid, Listing
from bench.report.model import Report, ReportRow

COLUMNS: Mapping[str, tuple[str, Callable[[ReportRow], tuple[str, ...]]]] = {
    "label": ("Row", lambda line: (line.label,)),
    "published": ("Published", lambda line: (_published(line.published),)),
    "measured": ("Ours", lambda line: _measured(line)),
    "n": ("n", lambda line: (_seeds(line),)),
    "verdict": ("Verdict", lambda line: (_verdict(line),)),
}


def slim_down(report: Report) -> tuple[Grid, Listing]:
    """The short table, and the notes that it refers to; a group stands alone in a line above its rows."""
    notes, rows, group = Footnotes(), list[tuple[Entry, ...]](), None
    for line in report.lines:
        if line.group != group:
            rows.append((Entry((line.group,)), *(Entry(("",)) for _ in range(len(COLUMNS) - 1))))
            group = line.group
        rows.append(tuple(_entry(report, line, column, notes) for column in COLUMNS))
    headers = tuple(Entry((header,)) for header, _ in COLUMNS.values())
    return Grid("", headers, tuple(rows)), Listing("Notes", notes.texts, numbered=True)


def _entry(report: Report, line: ReportRow, column: str, notes: Footnotes) -> Entry:
    if not line.available and column != "label":
        return Entry(("N/A",))
    texts = (report.footnotes[number - 1] for number in line.marks.get(column, ()))
    return Entry(COLUMNS[column][1](line), notes.mark(texts))


def _published(cell: Cell | None) -> str:
    return ABSENT if cell is None else _number(cell.value, cell.spread)


def _measured(line: ReportRow) -> tuple[str, ...]:
    """A mean for each protocol, named where there are two."""
    known = [m for m in line.measured if m.mean is not None]
    name = "{} " if len(known) > 1 else ""
    means = tuple(f"{name.format(m.protocol)}{_number(m.mean, m.sd)}" for m in known if m.mean is not None)
    return means or (ABSENT,)


def _seeds(line: ReportRow) -> str:
    return str(len(line.measured[0].values)) if line.measured else ABSENT


def _number(value: float, spread: float | None) -> str:
    return f"{value:.2f}" if spread is None else f"{value:.2f} ± {spread:.2f}"


def _verdict(line: ReportRow) -> str:
    if line.waits is not None:
        return "waits"
    if line.unscored is not None:
        return "unscored"
    return line.verdict.word if line.verdict else "not published"
