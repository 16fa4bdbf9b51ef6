"""A report in Markdown, as GitHub shows it."""

import re

from bench.report.layout import Entry, Grid, Listing, Page, lay_out
from bench.report.model import Report
from bench.text import on_one_line, visible


def to_markdown(report: Report, *, brief: bool = False) -> str:
    """The report in Markdown; ``brief``: no more than the answer, the claims and the verdicts."""
    return write(lay_out(report, brief=brief))


def write(page: Page) -> str:
    """A page in Markdown."""
    blocks = (
        _grid(block) if isinstance(block, Grid) else _listing(block) for block in (*page.above, page.table, *page.below)
    )
    return "\n\n".join([f"### {escape(page.title)}", _inline(escape(page.paper)), *blocks]) + "\n"


def escape(text: str) -> str:
    """The text, so that nothing in it is taken for Markdown: neither a link, nor HTML, nor code, nor another cell."""
    return re.sub(r"[\\|*<\[`]|&(?=#?\w+;)", r"\\\g<0>", on_one_line(visible(text)))


def _grid(grid: Grid) -> str:
    from tabulate import tabulate

    rows = [list(map(_entry, row)) for row in grid.rows]
    table = tabulate(rows, [*map(_entry, grid.headers)], tablefmt="pipe", disable_numparse=True)
    return f"**{escape(grid.title)}**\n\n{table}" if grid.title else table


def _entry(entry: Entry) -> str:
    marks = f"<sup>{','.join(map(str, entry.marks))}</sup>" if entry.marks else ""
    return "<br>".join(map(escape, entry.lines)) + marks


def _prose(text: str) -> str:
    """A text escaped, in which what stands between backticks is code."""
    parts = re.split(r"`([^`]+)`", text)
    return "".join(f"`{on_one_line(visible(part))}`" if i % 2 else escape(part) for i, part in enumerate(parts))


def _inline(text: str) -> str:
    """A paragraph that is none of Markdown's blocks: no heading, quotation or list."""
    return re.sub(r"\A([#>+-]|\d+(?=[.)]\s))", lambda found: _start(found[0]), text)


def _start(mark: str) -> str:
    return f"{mark}\\" if mark.isdigit() else f"\\{mark}"


def _listing(listing: Listing) -> str:
    items = (f"{f'{i}.' if listing.numbered else '-'} {_inline(_prose(t))}" for i, t in enumerate(listing.items, 1))
    return "\n".join([f"**{escape(listing.title)}**", "", *items])
