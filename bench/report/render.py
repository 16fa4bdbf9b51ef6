"""A sheet as text, Markdown, LaTeX, CSV or JSON."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from textwrap import TextWrapper, wrap
from typing import Literal

from bench.report.flat import csv
from bench.report.page import Entry, Grid, Listing, lay_out
from bench.report.sheet import Sheet

Format = Literal["text", "markdown", "latex", "csv", "json"]
CELL_WIDTH, LINE_WIDTH = 22, 100
LATEX = {c: f"\\{c}" for c in "%_&#${}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    "±": r"$\pm$",
    "≤": r"$\le$",
    "×": r"$\times$",
    "−": "$-$",
}


@dataclass(frozen=True)
class _Style:
    """How one format writes what a page holds."""

    tablefmt: str
    escape: Callable[[str], str]
    join: Callable[[Sequence[str]], str]
    mark: str
    gap: bool
    listing: Callable[[str, Sequence[str], bool], str]
    heading: Callable[[str], str]
    document: Callable[[str, str, Sequence[str]], str]


def render(sheet: Sheet, form: Format) -> str:
    """The sheet in one format, ending with a line break.

    Text fits a terminal of 160 columns, but for the column of a reduced profile; CSV has one line a row and full
    precision; JSON is the complete sheet.
    """
    if form == "json":
        return json.dumps(asdict(sheet), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    if form == "csv":
        return csv(sheet)
    style, page = STYLES[form], lay_out(sheet)
    blocks = [_grid(b, style) if isinstance(b, Grid) else _listing(b, style) for b in page.blocks]
    return style.document(style.escape(page.title), style.escape(page.paper), blocks)


def _grid(grid: Grid, style: _Style) -> str:
    from tabulate import tabulate

    headers = [_entry(entry, style) for entry in grid.headers]
    rows = [[_entry(entry, style) for entry in row] for row in grid.rows]
    if style.gap:
        rows = [line for row in rows for line in (row, [""] * len(row))][:-1]
    table = tabulate(rows, headers, tablefmt=style.tablefmt, disable_numparse=True)
    table = "\n".join(line.rstrip() for line in table.splitlines())
    return f"{style.heading(style.escape(grid.title))}{table}" if grid.title else table


def _entry(entry: Entry, style: _Style) -> str:
    lines = [style.escape(line) for line in entry.lines]
    if entry.marks:
        lines[-1] += style.mark.format(",".join(map(str, entry.marks)))
    return style.join(lines)


def _listing(listing: Listing, style: _Style) -> str:
    return style.listing(style.escape(listing.title), [style.escape(item) for item in listing.items], listing.numbered)


def _text_join(lines: Sequence[str]) -> str:
    return "\n".join(part for line in lines for part in wrap(line, CELL_WIDTH) or [""])


def _text_listing(title: str, items: Sequence[str], numbered: bool) -> str:
    bullets = [f"[{i}] " if numbered else "- " for i in range(1, len(items) + 1)]
    filled = (
        TextWrapper(LINE_WIDTH, initial_indent=bullet, subsequent_indent=" " * len(bullet), break_on_hyphens=False)
        for bullet in bullets
    )
    return "\n".join([f"{title}:", *(wrapper.fill(item) for wrapper, item in zip(filled, items, strict=True))])


def _markdown_escape(text: str) -> str:
    return re.sub(r"[\\|*<]", r"\\\g<0>", text)


def _markdown_listing(title: str, items: Sequence[str], numbered: bool) -> str:
    return "\n".join([f"**{title}**", "", *(f"{i}. {t}" if numbered else f"- {t}" for i, t in enumerate(items, 1))])


def _latex_escape(text: str) -> str:
    escaped = "".join(LATEX.get(c, c) for c in text)
    return re.sub(r"`([^`]*)`", r"\\texttt{\1}", escaped)


def _latex_join(lines: Sequence[str]) -> str:
    return lines[0] if len(lines) == 1 else r"\shortstack[l]{" + r"\\".join(lines) + "}"


def _latex_listing(title: str, items: Sequence[str], numbered: bool) -> str:
    marks = [rf"\textsuperscript{{{i}}} " if numbered else "-- " for i in range(1, len(items) + 1)]
    return "\n\n".join(
        [rf"\noindent\textit{{{title}}}", *(rf"\noindent {m}{t}" for m, t in zip(marks, items, strict=True))]
    )


def _latex_document(title: str, paper: str, blocks: Sequence[str]) -> str:
    # Only the table floats: with its notes it would be longer than a page.
    table, *rest = blocks
    head = f"\\begin{{table}}\n\\scriptsize\n\\caption{{{title} ({paper})}}\n"
    return "\n\n".join([f"{head}{table}\n\\end{{table}}", "{\\scriptsize", *rest, "\\par}\n"])


STYLES: dict[Format, _Style] = {
    "text": _Style(
        tablefmt="simple",
        escape=str,
        join=_text_join,
        mark=" [{}]",
        gap=True,
        listing=_text_listing,
        heading="{}:\n".format,
        document=lambda title, paper, blocks: "\n\n".join([f"{title}\n{paper}", *blocks]) + "\n",
    ),
    "markdown": _Style(
        tablefmt="pipe",
        escape=_markdown_escape,
        join="<br>".join,
        mark="<sup>{}</sup>",
        gap=False,
        listing=_markdown_listing,
        heading="**{}**\n\n".format,
        document=lambda title, paper, blocks: "\n\n".join([f"### {title}", paper, *blocks]) + "\n",
    ),
    "latex": _Style(
        tablefmt="latex_raw",
        escape=_latex_escape,
        join=_latex_join,
        mark=r"\textsuperscript{{{}}}",
        gap=False,
        listing=_latex_listing,
        heading="\\noindent\\textit{{{}}}\n\n".format,
        document=_latex_document,
    ),
}
