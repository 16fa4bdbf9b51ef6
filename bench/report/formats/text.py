"""A report for a terminal."""

from collections.abc import Sequence
from textwrap import TextWrapper, wrap

from bench.report.formats.page import Style, write
from bench.report.layout import lay_out
from bench.report.model import Report
from bench.text import on_one_line, visible

CELL_WIDTH, LINE_WIDTH = 22, 100


def to_text(report: Report) -> str:
    """The report as text that fits 160 columns, but for the column of a reduced profile."""
    return write(lay_out(report), STYLE)


def escape(text: str) -> str:
    """The text on one line, so that nothing in it steers a terminal."""
    return on_one_line(visible(text))


def _join(lines: Sequence[str]) -> str:
    return "\n".join(part for line in lines for part in wrap(line, CELL_WIDTH) or [""])


def _listing(title: str, items: Sequence[str], numbered: bool) -> str:
    bullets = [f"[{i}] " if numbered else "- " for i in range(1, len(items) + 1)]
    filled = (
        TextWrapper(LINE_WIDTH, initial_indent=bullet, subsequent_indent=" " * len(bullet), break_on_hyphens=False)
        for bullet in bullets
    )
    return "\n".join([f"{title}:", *(wrapper.fill(item) for wrapper, item in zip(filled, items, strict=True))])


STYLE = Style(
    tablefmt="simple",
    escape=escape,
    prose=escape,
    join=_join,
    mark=" [{}]",
    gap=True,
    listing=_listing,
    heading="{}:\n".format,
    document=lambda title, paper, blocks: "\n\n".join([f"{title}\n{paper}", *blocks]) + "\n",
)
