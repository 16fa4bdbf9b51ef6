"""Small tables of commands, as wide as the terminal is, and lines beside them."""

from collections.abc import Sequence
from textwrap import fill

from tabulate import tabulate

from bench.cli.output import width
from bench.report.columns import ABSENT
from bench.report.formats.fit import Columns
from bench.report.formats.text import escape, in_columns


def table(headers: Sequence[str], rows: Sequence[Sequence[object]], first: int | None = None, floats: str = "g") -> str:
    """A table; where it is wider than the terminal, in narrower columns, or each row as a list.

    Args:
        headers: of the columns.
        rows: of numbers and texts, the first of which names the row.
        first: how wide the first column is at most, where there is room for all.
        floats: the format of numbers that are not whole.
    """
    widths = [first, *[None] * (len(headers) - 1)]
    whole = tabulate(rows, headers, "simple", maxcolwidths=widths, floatfmt=floats, intfmt=",", missingval=ABSENT)
    room = width()
    if room is None or max(map(len, whole.splitlines())) <= room:
        return whole
    cells = tuple((("",), *((escape(_told(value, floats)),) for value in row)) for row in rows)
    columns = Columns(("group", "label", *headers[1:]), (("",), *((header,) for header in headers)), cells)
    return in_columns(columns, room)


def _told(value: object, floats: str) -> str:
    if value is None:
        return ABSENT
    if isinstance(value, int | float):
        return format(value, "," if isinstance(value, int) else floats)
    return str(value)


def line(text: str, indent: int = 4) -> str:
    """A line of text, folded between words where the terminal is narrower, the rest of it indented by so much."""
    room = width()
    if room is None or len(text) <= room:
        return text
    return fill(text, room, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)
