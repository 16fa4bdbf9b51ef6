"""Small tables of commands, as wide as the terminal is."""

from collections.abc import Sequence

from tabulate import tabulate

from bench.cli.output import width
from bench.report.formats.fit import Columns
from bench.report.formats.text import escape, in_columns


def table(headers: Sequence[str], rows: Sequence[Sequence[object]], first: int | None = None) -> str:
    """A table; where it is wider than the terminal, in narrower columns, or each row as a list.

    Args:
        headers: of the columns.
        rows: of numbers and texts, the first of which names the row.
        first: how wide the first column is at most, where there is room for all.
    """
    widths = [first, *[None] * (len(headers) - 1)]
    whole = tabulate(rows, headers, "simple", maxcolwidths=widths)
    room = width()
    if room is None or max(map(len, whole.splitlines())) <= room:
        return whole
    cells = tuple((("",), *((escape(str(value)),) for value in row)) for row in rows)
    columns = Columns(("group", "label", *headers[1:]), (("",), *((header,) for header in headers)), cells)
    return in_columns(columns, room)
