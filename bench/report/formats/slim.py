"""A table's main columns, for one column of a paper: rows, the published number, ours, and the verdict."""

from collections.abc import Callable, Mapping

from bench.recipe import Cell
from bench.report.columns import ABSENT
from bench.report.layout import Entry, Grid, Listing, numbered
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
    rows, group = list[tuple[Entry, ...]](), None
    for line in report.lines:
        if line.group != group:
            rows.append((Entry((line.group,)), *(Entry(("",)) for _ in range(len(COLUMNS) - 1))))
            group = line.group
        rows.append(tuple(_entry(line, column) for column in COLUMNS))
    headers = tuple(Entry((header,)) for header, _ in COLUMNS.values())
    return numbered(Grid("", tuple(COLUMNS), headers, tuple(rows)), report.footnotes)


def _entry(line: ReportRow, column: str) -> Entry:
    if not line.available and column != "label":
        return Entry(("N/A",))
    return Entry(COLUMNS[column][1](line), line.marks.get(column, ()))


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
    return line.verdict.text if line.verdict else "not published"
