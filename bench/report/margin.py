"""The difference that does not matter in a cell: the table's, and never more than half of what the paper compares."""

from collections.abc import Iterator

from bench.recipe import Library, Row, Table


def margin_of(library: Library, table: Table, row: Row) -> tuple[float, str | None]:
    """A row's margin in points, and why it is narrower than its table's, where it is.

    The published difference from each row with which the paper compares it, by a claim or by ``compared_with``, must
    be at least twice the margin: within a wider one, a gain and none would both be reproduced.
    """
    name = table.metric.name
    own = row.published.get(name)
    others = [(other, cell) for other in _compared(library, table, row) if (cell := other.published.get(name))]
    if own is None:
        return table.margin, None
    gaps = {abs(own.value - cell.value): other for other, cell in others if cell.value != own.value}
    margin = round(min(gaps, default=2 * table.margin) / 2, 4)  # values are printed with two decimals
    if margin >= table.margin:
        return table.margin, None
    gap = min(gaps)
    return margin, f"margin {margin:.3g}: half of the published difference of {gap:.2f} from {gaps[gap].label}"


def _compared(library: Library, table: Table, row: Row) -> Iterator[Row]:
    """The rows that the paper compares with this one, whichever of the two says so."""
    for claim in (claim for claim in table.claims if not (claim.alike or claim.ours)):
        if row.name in (claim.better, claim.worse):
            yield table.rows[claim.worse if row.name == claim.better else claim.better]
    if row.compared_with is not None:
        yield library.row(row.compared_with)
    for other in table.rows.values():
        if (ref := other.compared_with) is not None and (ref.table, ref.row) == (table.name, row.name):
            yield other
