r"""A report for a paper, as pdflatex takes it with the packages booktabs and tabularx.

Columns are paragraphs that share the line's width by what stands in them: a table of any number of columns fits, and
its cells begin at the top. Only the table floats: with its notes it would be longer than a page.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, repeat

from bench.report.formats.slim import slim_down
from bench.report.formats.tex import escape, label
from bench.report.formats.widths import bound, longest_word
from bench.report.layout import Entry, Grid, Listing, lay_out
from bench.report.model import Report

Row = tuple[Entry, ...]
PACKAGES = r"% \usepackage{booktabs,tabularx}"
# Signs that fit beside each other in \scriptsize: across a page, and across one column of two.
PAGE, COLUMN = 104, 52
# Signs that an entry asks for at most (a longer one takes several lines), and lines that fit any page.
WIDEST, HIGHEST = 22, 56

_NUMBER = re.compile(r"[-+]?\d[-+.e\d]*")


def to_latex(report: Report, *, slim: bool = False) -> str:
    r"""The report in LaTeX, as wide as the page; with ``slim`` just rows, numbers and verdicts, for one column.

    A table that is higher than a page goes on in another one under the same number.
    """
    page = lay_out(report)
    grid, blocks = page.table, [*page.above, *page.below]
    environment, width, signs = "table*", r"\textwidth", PAGE
    if slim:
        grid, notes = slim_down(report)
        blocks = [notes] if notes.items else []
        environment, width, signs = "table", r"\columnwidth", COLUMN
    caption = escape(f"{page.title} ({page.paper})")
    captions = chain(
        [f"\\caption{{{caption}}}\n\\label{{{label(report.table)}}}"],
        repeat("\\addtocounter{table}{-1}\n\\caption{(continued)}"),
    )
    head, widths = f"\\begin{{{environment}}}\n\\scriptsize\n\\setlength{{\\tabcolsep}}{{3pt}}\n", _widths(grid, signs)
    floats = [
        f"{head}{said}\n{_tabular(grid.headers, rows, widths, width)}\n\\end{{{environment}}}"
        for rows, said in zip(_parts(grid.rows, widths), captions, strict=False)
    ]
    return "\n\n".join([PACKAGES, *floats, r"{\scriptsize\raggedright", *map(_block, blocks), "\\par}\n"])


def _block(block: Grid | Listing) -> str:
    title = rf"\noindent\textit{{{escape(block.title)}}}"
    if isinstance(block, Grid):
        block = _stacked(block) if sum(_needs(block)) > COLUMN else block
        widths = _widths(block, COLUMN)
        # What does not float is not broken by TeX either.
        tables = (_tabular(block.headers, rows, widths, r"\linewidth") for rows in _parts(block.rows, widths))
        return "\n\n".join([title, *(rf"\noindent{table}" for table in tables)])
    marks = [rf"\textsuperscript{{{i}}}" if block.numbered else "--" for i in range(1, len(block.items) + 1)]
    items = (rf"\noindent {mark} {escape(item)}" for mark, item in zip(marks, block.items, strict=True))
    return "\n\n".join([title, *items])


def _stacked(grid: Grid) -> Grid:
    """The same with two numbers beside each other, ``89.25 / 88.61``, one above the other."""

    def stacked(entry: Entry) -> Entry:
        return replace(entry, lines=tuple(part for line in entry.lines for part in re.split(r"(?<= /) ", line)))

    return replace(grid, rows=tuple(tuple(map(stacked, row)) for row in grid.rows))


def _tabular(headers: Row, rows: Sequence[Row], widths: Sequence[float], width: str) -> str:
    shares = [len(widths) * own / sum(widths) for own in widths]
    # TeX hyphenates no first word, but a word after a space of no width.
    begin = r"\raggedright\arraybackslash\leavevmode\nobreak\hspace{0pt}"
    columns = "".join(rf">{{\hsize={share:.3f}\hsize{begin}}}X" for share in shares)
    # A little space before each group but the first.
    space = "\\addlinespace\n"
    body = [space * (i > 0 and _begins_group(row, rows)) + _line(row) for i, row in enumerate(rows)]
    lines = (r"\toprule", _line(headers), r"\midrule", *body, r"\bottomrule")
    return "\n".join([rf"\begin{{tabularx}}{{{width}}}{{@{{}}{columns}@{{}}}}", *lines, r"\end{tabularx}"])


def _parts(rows: Sequence[Row], widths: Sequence[float]) -> Iterator[list[Row]]:
    """The rows, in parts that each fit a page; one begins with a group where that can be."""
    part, lines = list[Row](), 0
    for row in rows:
        height = max(_height(entry, own) for entry, own in zip(row, widths, strict=True))
        early = _begins_group(row, rows) and lines > 0.8 * HIGHEST
        if part and (early or lines + height > HIGHEST):
            yield part
            part, lines = [], 0
        part.append(row)
        lines += height
    yield part


def _widths(grid: Grid, signs: int) -> list[float]:
    """How many of a line's ``signs`` each column gets: what it needs, and as much as is left of what it asks for."""
    columns, needs = _columns(grid), _needs(grid)
    wishes = [max(need, *map(_wish, column)) for need, column in zip(needs, columns, strict=True)]
    share = min(1.0, max(0.0, (signs - sum(needs)) / max(1, sum(wishes) - sum(needs))))
    scale = min(1.0, signs / sum(needs))
    return [scale * (need + share * (wish - need)) for need, wish in zip(needs, wishes, strict=True)]


def _columns(grid: Grid) -> list[tuple[Entry, ...]]:
    return [*zip(grid.headers, *(row for row in grid.rows if not _is_alone(row)), strict=True)]


def _needs(grid: Grid) -> list[int]:
    return [max(map(_need, column)) for column in _columns(grid)]


def _need(entry: Entry) -> int:
    """The longest part of an entry that is not to be broken: a word, or a number with its spread."""
    return max(map(longest_word, entry.lines)) + _room(entry)


def _wish(entry: Entry) -> int:
    return min(WIDEST, max(map(len, entry.lines))) + _room(entry)


def _room(entry: Entry) -> int:
    """Signs for an entry's marks, and two, since some signs are wider than others."""
    return len(",".join(map(str, entry.marks))) + 2


def _height(entry: Entry, width: float) -> int:
    return sum(max(1, math.ceil((len(line) + _room(entry)) / width)) for line in entry.lines)


def _begins_group(row: Row, rows: Sequence[Row]) -> bool:
    """Whether a group begins with a row: one that stands alone, in a table that has such, or one with a first entry."""
    return _is_alone(row) or (any(row[0].lines) and not any(map(_is_alone, rows)))


def _is_alone(row: Row) -> bool:
    """Whether only the first place of a row is taken: that of a group, which may be as wide as the table."""
    return not any(any(entry.lines) for entry in row[1:])


def _line(row: Row) -> str:
    if _is_alone(row):
        return rf"\multicolumn{{{len(row)}}}{{@{{}}l@{{}}}}{{\textit{{{_entry(row[0])}}}}} \\"
    return " & ".join(map(_entry, row)) + r" \\"


def _entry(entry: Entry) -> str:
    commas = [","] * (len(entry.marks) - 1) + [""]
    superscripts = (rf"\textsuperscript{{{mark}{comma}}}" for mark, comma in zip(entry.marks, commas, strict=False))
    marks = r"\allowbreak".join(superscripts)
    return r"\newline ".join(map(_unbroken, entry.lines)) + marks


def _unbroken(line: str) -> str:
    """A line in LaTeX; numbers are not broken, neither at a sign (1e-05) nor between two."""
    text = escape(bound(line))
    return rf"\mbox{{{text}}}" if _NUMBER.fullmatch(line) else text
