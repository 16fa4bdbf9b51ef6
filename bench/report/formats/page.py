"""What text and Markdown share: a page that is laid out, written block by block in a style."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.report.layout import Entry, Grid, Page


@dataclass(frozen=True)
class Style:
    """How one format writes what a page holds.

    Args:
        tablefmt: tabulate's name of the table.
        escape: a text, so that nothing in it is taken for the format's own signs.
        prose: the same of an item of a list, in which what stands between backticks is code.
        join: the lines of one entry.
        mark: the footnotes of an entry, with ``{}`` for their numbers.
        gap: whether an empty line stands between rows.
        listing: a list from its title, its items, and whether these are numbered.
        heading: of a table, from its title.
        document: the whole, from title, paper and blocks.
    """

    tablefmt: str
    escape: Callable[[str], str]
    prose: Callable[[str], str]
    join: Callable[[Sequence[str]], str]
    mark: str
    gap: bool
    listing: Callable[[str, Sequence[str], bool], str]
    heading: Callable[[str], str]
    document: Callable[[str, str, Sequence[str]], str]


def write(page: Page, style: Style) -> str:
    """The page in a style."""
    escape = style.escape
    blocks = [
        _grid(block, style)
        if isinstance(block, Grid)
        else style.listing(escape(block.title), [style.prose(item) for item in block.items], block.numbered)
        for block in page.blocks
    ]
    return style.document(escape(page.title), escape(page.paper), blocks)


def _grid(grid: Grid, style: Style) -> str:
    from tabulate import tabulate

    headers = [_entry(entry, style) for entry in grid.headers]
    rows = [[_entry(entry, style) for entry in row] for row in grid.rows]
    if style.gap:
        rows = [line for row in rows for line in (row, [""] * len(row))][:-1]
    table = tabulate(rows, headers, tablefmt=style.tablefmt, disable_numparse=True)
    table = "\n".join(line.rstrip() for line in table.splitlines())
    return f"{style.heading(style.escape(grid.title))}{table}" if grid.title else table


def _entry(entry: Entry, style: Style) -> str:
    lines = [style.escape(line) for line in entry.lines]
    if entry.marks:
        lines[-1] += style.mark.format(",".join(map(str, entry.marks)))
    return style.join(lines)
