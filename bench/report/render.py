"""A report as text, Markdown, LaTeX, CSV or JSON."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from textwrap import TextWrapper, wrap
from typing import Any, Literal

from bench.report.cells import BOTH, COST_METRICS
from bench.report.layout import FIDELITY, Entry, Grid, lay_out
from bench.report.model import Measured, Report, ReportRow
from bench.text import in_a_spreadsheet, on_one_line, visible, visible_json

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
    prose: Callable[[str], str]
    join: Callable[[Sequence[str]], str]
    mark: str
    gap: bool
    listing: Callable[[str, Sequence[str], bool], str]
    heading: Callable[[str], str]
    document: Callable[[str, str, Sequence[str]], str]


def render(report: Report, form: Format) -> str:
    """The report in one format, ending with a line break.

    Text fits a terminal of 160 columns, but for the column of a reduced profile; CSV has one line a row and full
    precision; JSON is the complete report.
    """
    if form == "json":
        return visible_json(json.dumps(asdict(report), indent=1, ensure_ascii=False, allow_nan=False)) + "\n"
    if form == "csv":
        return to_csv(report)
    style, page = STYLES[form], lay_out(report)
    escape = style.escape
    blocks = [
        _grid(block, style)
        if isinstance(block, Grid)
        else style.listing(escape(block.title), [style.prose(item) for item in block.items], block.numbered)
        for block in page.blocks
    ]
    return style.document(escape(page.title), escape(page.paper), blocks)


def to_csv(report: Report) -> str:
    """Every number of the report's rows, one line each with plain column names; empty where there is none."""
    from pandas import DataFrame

    # Objects are written as they are: a missing count must not turn the others into 5.0.
    rows = [{key: _cell(value) for key, value in _fields(report, line).items()} for line in report.lines]
    frame = DataFrame(rows, dtype=object)
    return frame.to_csv(index=False, lineterminator="\n")


def _cell(value: Any) -> Any:
    return in_a_spreadsheet(visible(value)) if isinstance(value, str) else value


def _fields(report: Report, line: ReportRow) -> dict[str, Any]:
    fields = {
        "table": report.table,
        "row": line.name,
        "label": line.label,
        "group": line.group,
        "available": line.available,
        "scored": line.available and line.unscored is None and line.waits is None,
        **_attributes(line.published, "published", ("value", "spread", "meaning", "n", "protocol", "source")),
        **_measured(line.measured, ""),
    }
    if any(other.published and other.published.nets for other in report.lines):
        fields["published_nets"] = " ".join(map(str, line.published.nets)) if line.published else None
    for protocol in BOTH:
        measured = next((m for m in line.measured if m.protocol == protocol), None)
        fields |= _attributes(measured, protocol, ("difference",))
        fields |= _attributes(measured and measured.verdict, protocol, ("h90", "h95"))
    fields |= {"margin": line.margin, **_attributes(line.verdict, "verdict", ("word", "text", "reason", "p"))}
    fields |= {"holm": line.holm, "power": line.verdict and line.verdict.detectable}
    for metric in COST_METRICS:
        cost = line.costs.get(metric)
        fields |= _attributes(cost, metric, ("published", "derived"))
        fields |= _attributes(cost and cost.verdict, metric, ("word",))
    fields |= _attributes(line.training, "training_flops", ("own", "whole"))
    if "ensemble" in report.columns:
        fields |= _attributes(line.ensemble, "ensemble", ("size", "published", "count", "mean", "sd", "difference"))
    if "fidelity" in report.columns:
        own = line.fidelity
        fields["fidelity_n"] = own and own.n
        for name in FIDELITY:
            fields[f"fidelity_{name}"] = own and own.means.get(name)
            fields[f"baseline_{name}"] = own and own.baseline.get(name)
    return fields | (_measured(line.smaller, f"{report.smaller}_") if report.smaller else {})


def _measured(cells: Sequence[Measured], prefix: str) -> dict[str, Any]:
    fields = {f"{prefix}{key}": getattr(cells[0], key) if cells else None for key in ("planned", "diverged")}
    for protocol in BOTH:
        measured = next((m for m in cells if m.protocol == protocol), None)
        fields[f"{prefix}{protocol}_n"] = measured and len(measured.values)
        fields |= _attributes(measured, f"{prefix}{protocol}", ("mean", "sd"))
    return fields


def _attributes(value: object, prefix: str, names: Sequence[str]) -> dict[str, Any]:
    """Some attributes of a value as columns, all empty where there is no value."""
    return {f"{prefix}_{name}": getattr(value, name, None) for name in names}


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


def _text_escape(text: str) -> str:
    return on_one_line(visible(text))


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
    """Neither a link, nor HTML, nor code, nor another cell."""
    return re.sub(r"[\\|*<\[`]|&(?=#?\w+;)", r"\\\g<0>", _text_escape(text))


def _markdown_prose(text: str) -> str:
    """The same of a note, in which what stands between backticks is code."""
    parts = re.split(r"`([^`]+)`", text)
    return "".join(f"`{_text_escape(part)}`" if i % 2 else _markdown_escape(part) for i, part in enumerate(parts))


def _markdown_inline(text: str) -> str:
    """A paragraph that is none of Markdown's blocks: no heading, quotation or list."""
    return re.sub(r"\A([#>+-]|\d+(?=[.)]\s))", lambda found: _markdown_start(found[0]), text)


def _markdown_start(mark: str) -> str:
    return f"{mark}\\" if mark.isdigit() else f"\\{mark}"


def _markdown_listing(title: str, items: Sequence[str], numbered: bool) -> str:
    return "\n".join(
        [f"**{title}**", "", *(f"{f'{i}.' if numbered else '-'} {_markdown_inline(t)}" for i, t in enumerate(items, 1))]
    )


def _latex_escape(text: str) -> str:
    escaped = "".join(LATEX.get(c, c) for c in _text_escape(text))
    # After a line's end these would be taken for what it may be followed by: \\* and \\[1cm].
    escaped = re.sub(r"\A[\[*]", r"{\g<0>}", escaped)
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
        escape=_text_escape,
        prose=_text_escape,
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
        prose=_markdown_prose,
        join="<br>".join,
        mark="<sup>{}</sup>",
        gap=False,
        listing=_markdown_listing,
        heading="**{}**\n\n".format,
        document=lambda title, paper, blocks: "\n\n".join([f"### {title}", _markdown_inline(paper), *blocks]) + "\n",
    ),
    "latex": _Style(
        tablefmt="latex_raw",
        escape=_latex_escape,
        prose=_latex_escape,
        join=_latex_join,
        mark=r"\textsuperscript{{{}}}",
        gap=False,
        listing=_latex_listing,
        heading="\\noindent\\textit{{{}}}\n\n".format,
        document=_latex_document,
    ),
}
