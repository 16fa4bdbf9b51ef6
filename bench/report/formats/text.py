"""A report for a terminal: as wide as it needs, or no wider than the terminal is."""

from collections.abc import Iterator, Sequence
from itertools import repeat
from textwrap import fill

from bench.report.formats.fit import LINE_WIDTH, Columns, dispensable, fit, fold
from bench.report.layout import EMPTY, Entry, Grid, Listing, Page, lay_out
from bench.report.model import Report
from bench.text import on_one_line, visible

# Stands for a group above its rows until the table is written: it takes no room in the first column.
_HEADING = "\0"


def to_text(report: Report, *, brief: bool = False, width: int | None = None) -> str:
    """The report as text.

    Args:
        report: what to write.
        brief: no more than the answer, the claims and the verdicts.
        width: columns of the terminal. The table is made to fit: without its costs, then with the groups above their
            rows, then with each row as a list. Without it a table fits 160, but for the column of a reduced profile.
    """
    page = lay_out(report, brief=brief)
    left_out = dispensable(_columns(page.table), width) if width else ()
    if not left_out:
        return write(page, width)
    headers = dict(zip(page.table.columns, page.table.headers, strict=True))
    names = ", ".join(" ".join(headers[name].lines) for name in left_out)
    notice = f"Left out at {width} columns: {names}; --format csv has all."
    return write(lay_out(report, without=left_out), width, notice)


def write(page: Page, width: int | None, notice: str = "") -> str:
    """A page as text, with a notice below its table; arguments as :func:`to_text`'s."""
    return "\n\n".join(
        [
            "\n".join(_paragraph(escape(text), width) for text in (page.title, page.paper)),
            *(_listing(block, width) for block in page.above),
            _grid(page.table, width),
            *([_paragraph(notice, width)] if notice else []),
            *(_grid(block, width) if isinstance(block, Grid) else _listing(block, width) for block in page.below),
            "",
        ]
    ).removesuffix("\n")


def escape(text: str) -> str:
    """The text on one line, so that nothing in it steers a terminal."""
    return on_one_line(visible(text))


def _columns(grid: Grid) -> Columns:
    rows = tuple(tuple(map(_lines, row)) for row in grid.rows)
    return Columns(grid.columns, tuple(map(_lines, grid.headers)), rows)


def _lines(entry: Entry) -> tuple[str, ...]:
    *first, last = map(escape, entry.lines)
    return (*first, f"{last} [{','.join(map(str, entry.marks))}]" if entry.marks else last)


def _grid(grid: Grid, width: int | None) -> str:
    table = in_columns(_columns(grid), width)
    return f"{_paragraph(f'{escape(grid.title)}:', width)}\n{table}" if grid.title else table


def in_columns(columns: Columns, width: int | None) -> str:
    """A table that is no wider than the terminal; where its columns cannot be, each row is a list."""
    fitted = fit(columns, width)
    return _tabulated(*fitted) if fitted else "\n".join(_stacked(columns, width or LINE_WIDTH))


def _tabulated(columns: Columns, widths: Sequence[int]) -> str:
    from tabulate import tabulate

    rows = [[*map(_joined, columns.headers, widths)], ["-" * own for own in widths]]
    for group, cells in zip(columns.groups or repeat(""), columns.rows, strict=False):
        if group:
            rows.append([_HEADING, *[""] * (len(cells) - 1)])
        rows.append([*map(_joined, cells, widths)])
    # A style with headers makes each column at least two signs wider than its header.
    table = tabulate(rows, tablefmt="plain", disable_numparse=True)
    groups = (f"{group}:" for group in columns.groups if group)
    return "\n".join(next(groups) if line.startswith(_HEADING) else line.rstrip() for line in table.splitlines())


def _joined(lines: Sequence[str], width: int) -> str:
    return "\n".join(fold(lines, width))


def _stacked(columns: Columns, width: int) -> Iterator[str]:
    """Each row as a list of what it has, below its group."""
    _, _, *headers = (" ".join(header) for header in columns.headers)
    for (group,), label, *cells in columns.rows:
        if group:
            yield _paragraph(f"{group}:", width)
        yield fill(" ".join(label), width, subsequent_indent="  ", break_on_hyphens=False)
        yield from (
            fill(f"  {header}: {', '.join(cell)}", width, subsequent_indent="    ", break_on_hyphens=False)
            for header, cell in zip(headers, cells, strict=True)
            if not EMPTY.issuperset(cell)
        )


def _listing(listing: Listing, width: int | None) -> str:
    bullets = [f"[{i}] " if listing.numbered else "- " for i in range(1, len(listing.items) + 1)]
    line = min(LINE_WIDTH, width or LINE_WIDTH)
    items = (
        fill(f"{bullet}{escape(item)}", line, subsequent_indent=" " * len(bullet), break_on_hyphens=False)
        for bullet, item in zip(bullets, listing.items, strict=True)
    )
    return "\n".join([_paragraph(f"{escape(listing.title)}:", width), *items])


def _paragraph(text: str, width: int | None) -> str:
    """A line, in several where it is longer than the terminal is wide."""
    return fill(text, width, break_on_hyphens=False) if width else text
