"""A report in Markdown, as GitHub shows it."""

import re
from collections.abc import Sequence

from bench.report.formats.page import Style, write
from bench.report.layout import lay_out
from bench.report.model import Report


def to_markdown(report: Report) -> str:
    """The report in Markdown."""
    return write(lay_out(report), STYLE)


def escape(text: str) -> str:
    """The text, so that nothing in it is taken for Markdown."""
    return re.sub(r"[\\|*<]", r"\\\g<0>", text)


def _listing(title: str, items: Sequence[str], numbered: bool) -> str:
    return "\n".join([f"**{title}**", "", *(f"{i}. {t}" if numbered else f"- {t}" for i, t in enumerate(items, 1))])


STYLE = Style(
    tablefmt="pipe",
    escape=escape,
    join="<br>".join,
    mark="<sup>{}</sup>",
    gap=False,
    listing=_listing,
    heading="**{}**\n\n".format,
    document=lambda title, paper, blocks: "\n\n".join([f"### {title}", paper, *blocks]) + "\n",
)
