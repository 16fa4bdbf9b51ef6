"""Rows that wait for what is not here: their published numbers, and why nothing stands beside them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from bench.recipe import Row, Table
from bench.report.cells import cost_columns
from bench.report.footnotes import label_notes, published_notes
from bench.report.model import CostCell, Ensemble, ReportRow

Mark = Callable[[Iterable[str]], tuple[int, ...]]


def waiting_row(bare: ReportRow, row: Row, table: Table, mark: Mark) -> ReportRow:
    """The row with its published numbers; ``mark`` numbers its footnotes."""
    published = {metric: cell.value for metric, cell in row.published.items()}
    cell = row.published.get(table.metric.name)
    marks = {
        "label": mark([*label_notes(row), *_elsewhere(row, table)]),
        "published": mark(published_notes(cell)),
        "verdict": mark([f"waits: {row.waits}"]),
    }
    return replace(
        bare,
        available=True,
        published=cell,
        costs={m: CostCell(published.get(m), None, None) for m in cost_columns(table.columns)},
        ensemble=Ensemble(row.nets, published["ensemble"]) if "ensemble" in published else None,
        marks={column: numbers for column, numbers in marks.items() if numbers},
    )


def _elsewhere(row: Row, table: Table) -> Iterator[str]:
    """Published numbers for which the table has no column."""
    for metric, cell in row.published.items():
        if metric != table.metric.name and metric not in table.columns:
            yield f"published {metric}: {cell.value:g}"
