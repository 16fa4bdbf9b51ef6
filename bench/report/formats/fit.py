"""A table of text made to fit a terminal: no word and no number with its spread is ever broken."""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap

from bench.report.formats.widths import bound, longest_word

# What a table can do without, the first first.
DISPENSABLE = ("tecost", "params", "trcost", "iterations", "size", "train", "ensemble")
# Signs of a cell at most, and at least where it has as many; of a line of prose; between two columns.
WIDEST, NARROWEST, LINE_WIDTH, GAP = 22, 17, 100, 2


@dataclass(frozen=True)
class Columns:
    """A table as text: its columns' names, of which ``group`` is the first, their headers, and rows of cells of lines.

    With ``groups`` the first column is gone: each row has its group, or nothing where that is the one above.
    """

    names: tuple[str, ...]
    headers: tuple[tuple[str, ...], ...]
    rows: tuple[tuple[tuple[str, ...], ...], ...]
    groups: tuple[str, ...] = ()

    def headed(self) -> "Columns":
        """The same with the groups apart, to stand above their rows."""
        groups = tuple(row[0][0] for row in self.rows)
        return Columns(self.names[1:], self.headers[1:], tuple(row[1:] for row in self.rows), groups)

    def without(self, names: Sequence[str]) -> "Columns":
        """The same without some columns."""
        kept = [i for i, name in enumerate(self.names) if name not in names]
        headers, *rows = (tuple(row[i] for i in kept) for row in (self.headers, *self.rows))
        return Columns(tuple(self.names[i] for i in kept), headers, tuple(rows))


def dispensable(columns: Columns, width: int) -> tuple[str, ...]:
    """The fewest columns without which a table fits; none where it does not fit without them either."""
    names = [name for name in DISPENSABLE if name in columns.names]
    tries = (tuple(names[:count]) for count in range(len(names) + 1))
    return next((left_out for left_out in tries if fit(columns.without(left_out), width)), ())


def fit(columns: Columns, width: int | None) -> tuple[Columns, list[int]] | None:
    """The columns with their widths, groups apart if they must be; None if they do not fit so either."""
    headed = columns.headed()
    for tried in (columns, headed) if any(headed.groups) else (headed,):
        widths = _widths(tried, width)
        if widths is not None:
            return tried, widths
    return None


def _widths(columns: Columns, width: int | None) -> list[int] | None:
    """As wide as each column wants to be; where that is too much, the widest gives way first."""
    cells = [[line for cell in column for line in cell] for column in zip(columns.headers, *columns.rows, strict=True)]
    needs = [min(LINE_WIDTH, max(map(longest_word, lines))) for lines in cells]
    widths = [max(need, min(WIDEST, max(map(len, lines)))) for need, lines in zip(needs, cells, strict=True)]
    least = [max(need, min(NARROWEST, own)) for need, own in zip(needs, widths, strict=True)]
    excess = 0 if width is None else sum(widths) + GAP * (len(widths) - 1) - width
    for _ in range(excess):
        yielding = [i for i, own in enumerate(widths) if own > least[i]]
        if not yielding:
            return None
        widths[max(yielding, key=widths.__getitem__)] -= 1
    return widths


def fold(lines: Sequence[str], width: int) -> list[str]:
    """A cell's lines, in as many lines as its width takes; only a word longer than any line of prose is broken."""
    folded = (wrap(bound(line), width, break_on_hyphens=False) or [""] for line in lines)
    return [part.replace("\u00a0", " ") for parts in folded for part in parts]
