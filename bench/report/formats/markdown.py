"""A report in Markdown, as GitHub shows it."""

import re
from collections.abc import Sequence

from bench.report.formats.page import Style, write
from bench.report.layout import lay_out
from bench.report.model import Report
from bench.text import on_one_line, visible


def to_markdown(report: Report) -> str:
    """The report in Markdown."""
    return write(lay_out(report), STYLE)


def escape(text: str) -> str:
    """The text, so that nothing in it is taken for Markdown: neither a link, nor HTML, nor code, nor another cell."""
    return re.sub(r"[\\|*<\[`]|&(?=#?\w+;)", r"\\\g<0>", on_one_line(visible(text)))


def _prose(text: str) -> str:
    """The same of a note, in which what stands between backticks is code."""
    parts = re.split(r"`([^`]+)`", text)
    return "".join(f"`{on_one_line(visible(part))}`" if i % 2 else escape(part) for i, part in enumerate(parts))


def _inline(text: str) -> str:
    """A paragraph that is none of Markdown's blocks: no heading, quotation or list."""
    return re.sub(r"\A([#>+-]|\d+(?=[.)]\s))", lambda found: _start(found[0]), text)


def _start(mark: str) -> str:
    return f"{mark}\\" if mark.isdigit() else f"\\{mark}"


def _listing(title: str, items: Sequence[str], numbered: bool) -> str:
    return "\n".join(
        [f"**{title}**", "", *(f"{f'{i}.' if numbered else '-'} {_inline(t)}" for i, t in enumerate(items, 1))]
    )


STYLE = Style(
    tablefmt="pipe",
    escape=escape,
    prose=_prose,
    join="<br>".join,
    mark="<sup>{}</sup>",
    gap=False,
    listing=_listing,
    heading="**{}**\n\n".format,
    document=lambda title, paper, blocks: "\n\n".join([f"### {title}", _inline(paper), *blocks]) + "\n",
)
