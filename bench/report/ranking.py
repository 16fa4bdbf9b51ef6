"""Rows that no paper has, in the order of their means, and how far apart they must be to be told apart."""

from collections.abc import Sequence
from itertools import groupby
from math import sqrt

from bench.report.model import Measured, Report, ReportRow

FEWEST_ROWS, FEWEST_RUNS = 3, 2


def rankings(report: Report) -> tuple[str, ...]:
    """A sentence for each group of rows, after the last epoch; none where a table has published values.

    A group has one where three of its rows or more have two runs or more. Runs of a smaller profile stand in where the
    paper's has none, and are said to be no result.
    """
    if any(line.published is not None for line in report.lines):
        return ()
    paper = [(line, _last(line.measured)) for line in report.lines]
    if any(cell is not None for _, cell in paper):
        return _sentences(report, paper, "")
    smaller = [(line, _last(line.smaller)) for line in report.lines]
    return _sentences(report, smaller, f", {report.smaller} profile, not a result")


def least_difference(cells: Sequence[Measured]) -> float:
    """Between two means of several: less is what chance does in 5 % of such tables (Tukey's range test).

    The spread of one run is taken to be the same in all rows, and rows to have as many runs as the one that has fewest.
    """
    from scipy.stats import studentized_range

    dof = sum(len(cell.values) - 1 for cell in cells)
    squares = sum((len(cell.values) - 1) * (cell.sd or 0.0) ** 2 for cell in cells)
    fewest = min(len(cell.values) for cell in cells)
    return float(studentized_range.ppf(0.95, len(cells), dof)) * sqrt(squares / dof / fewest)


def _last(cells: Sequence[Measured]) -> Measured | None:
    """That of the last epoch, if it has a spread."""
    found = (cell for cell in cells if cell.protocol == "last" and len(cell.values) >= FEWEST_RUNS)
    return next((cell for cell in found if cell.mean is not None and cell.sd is not None), None)


def _sentences(report: Report, cells: Sequence[tuple[ReportRow, Measured | None]], remark: str) -> tuple[str, ...]:
    groups = [
        (group, [(line.label, cell) for line, cell in rows if cell is not None])
        for group, rows in groupby(cells, key=lambda row: row[0].group)
    ]
    return tuple(_sentence(report, group, rows, remark) for group, rows in groups if len(rows) >= FEWEST_ROWS)


def _sentence(report: Report, group: str, rows: Sequence[tuple[str, Measured]], remark: str) -> str:
    """For example ``Small: KD 29.70, Plain 28.10, Large 27.00 (mean accuracy after the last epoch, n = 3). ...``"""
    ordered = sorted(rows, key=lambda row: report.metric.burden(row[1].mean or 0.0))
    named = ", ".join(f"{label} {cell.mean:.2f}" for label, cell in ordered)
    counts = sorted({len(cell.values) for _, cell in rows})
    n = f"n = {counts[0]}" + (f" to {counts[-1]}" if len(counts) > 1 else "")
    shared = any(cell.sources == 1 for _, cell in rows)
    given = ", given the one source that a row's seeds share" if shared else ""
    least = least_difference([cell for _, cell in rows])
    return (
        f"{group}: {named} (mean {report.metric.label} after the last epoch, {n}{remark}). Means less than {least:.2f}"
        f" apart are not told apart{given} (Tukey's range test of {len(rows)} rows at 5 %)."
    )
