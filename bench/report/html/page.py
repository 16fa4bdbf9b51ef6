"""A report and the records behind it → what a page shows: the one place that reads both."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from bench.cost import CostTable
from bench.graph import Graph, plan
from bench.metrics import Metric
from bench.profiles import Profile
from bench.recipe import Library, Row, Table
from bench.report import answers
from bench.report.answers import Judged
from bench.report.assumptions import Statement, statements
from bench.report.details import Details, details, ensemble_details, points
from bench.report.forest import forest
from bench.report.html.charts import cost_charts
from bench.report.html.forest_chart import forest_charts
from bench.report.html.vega import Chart
from bench.report.layout import Entry, Grid, Listing, lay_out
from bench.report.model import Report, ReportRow
from bench.report.remaining import Remaining, devices_here, remaining
from bench.report.render import render
from bench.report.table import build
from bench.report.tradeoff import CostPoint, tradeoff
from bench.store import Store

# Headers whose cells can do more than be read.
PUBLISHED, OURS, ENSEMBLE = "Published", "Ours", "Ensemble"
FILES = {"csv": "csv", "json": "json", "latex": "tex"}
_LINK = re.compile(
    r"(?P<url>https?://[^\s),;]+)|(?:arXiv[: ]?)(?P<arxiv>\d{4}\.\d{4,5})|(?P<doi>\b10\.\d{4,9}/[^\s),;]+)"
)


@dataclass(frozen=True)
class Column:
    """A column of the table that can be hidden."""

    key: str
    title: str


@dataclass(frozen=True)
class PageCell:
    """What stands in a column: the entry, the source that it links to (from 1), the details that it opens."""

    column: str
    entry: Entry
    source: int | None = None
    opens: str | None = None


@dataclass(frozen=True)
class PageRow:
    """A row of the table, whose cells begin after its label; ``details`` by their key."""

    label: str
    marks: tuple[int, ...]
    group: str
    unscored: bool
    cells: tuple[PageCell, ...]
    details: Mapping[str, Details]


@dataclass(frozen=True)
class Source:
    """Where a number was published: a text and, where it names one, an address."""

    text: str
    address: str | None


@dataclass(frozen=True)
class PageData:
    """Everything that a page shows. ``groups`` are the rows by group; ``files`` are the downloads by suffix.

    ``curves`` are the learning curves by key of details, as rows of numbers.
    """

    name: str
    title: str
    paper: Source
    metric: Metric
    grouped_by: str
    answer: tuple[str, ...]
    claims: tuple[Judged, ...]
    values: tuple[Judged, ...]
    forest: tuple[Chart, ...]
    columns: tuple[Column, ...]
    groups: tuple[tuple[str, tuple[PageRow, ...]], ...]
    lists: tuple[Listing, ...]
    notes: tuple[str, ...]
    sources: tuple[Source, ...]
    costs: tuple[Chart, ...]
    cost_points: tuple[CostPoint, ...]
    remaining: Remaining
    device: str
    assumptions: tuple[Statement, ...]
    made_from: tuple[str, ...]
    curves: Mapping[str, Sequence[Mapping[str, Any]]]
    files: Mapping[str, str]


def read(
    library: Library,
    name: str,
    store: Store,
    costs: CostTable,
    smaller: Profile | None = None,
    only: Collection[str] = (),
) -> PageData:
    """What the page of a table shows; arguments and errors are those of :func:`bench.report.table.build`."""
    report = build(library, name, store, costs, smaller=smaller, rows=only)
    table, paper = library.table(name), plan(library, [name], "paper")
    graphs = [paper, plan(library, [name], smaller)] if smaller else [paper]
    laid_out = lay_out(report)
    grid = laid_out.table
    listings = {block.title: block for block in laid_out.below if isinstance(block, Listing)}
    tried = [listing for listing in laid_out.above if listing.title.endswith("not a result")]
    sources = _sources(report)
    rows = tuple(_rows(report, grid, table, graphs, store, [source.text for source in sources]))
    tradeoffs = tradeoff(report, table, costs)
    here = devices_here()
    return PageData(
        name=name,
        title=report.title,
        paper=sources[0],
        metric=report.metric,
        grouped_by=report.grouped_by,
        answer=answers.answer(report),
        claims=answers.claims(report),
        values=answers.values(report),
        forest=forest_charts(forest(report), report.metric),
        columns=_columns(grid),
        groups=tuple((group, tuple(same)) for group, same in groupby(rows, key=lambda row: row.group)),
        lists=(*(listings[title] for title in ("How to read it",) if title in listings), *tried),
        notes=listings["Notes"].items if "Notes" in listings else (),
        sources=sources,
        costs=cost_charts(tradeoffs, report.metric),
        cost_points=tradeoffs,
        remaining=remaining(paper.runs.values(), store, costs, here),
        device=", ".join(here),
        assumptions=statements(table),
        made_from=listings["Made from"].items if "Made from" in listings else (),
        curves={key: points(found.curves) for row in rows for key, found in row.details.items() if found.curves},
        files={suffix: render(report, form) for form, suffix in FILES.items()},  # type: ignore[arg-type]
    )


def _columns(grid: Grid) -> tuple[Column, ...]:
    """Those after the group and the label."""
    return tuple(Column(f"column-{i}", " ".join(header.lines)) for i, header in enumerate(grid.headers[2:]))


def _rows(
    report: Report, grid: Grid, table: Table, graphs: Sequence[Graph], store: Store, sources: Sequence[str]
) -> Iterator[PageRow]:
    columns = _columns(grid)
    for number, (line, entries) in enumerate(zip(report.lines, grid.rows, strict=True), 1):
        found = _details(table.rows[line.name], table, graphs, store, number)
        _, label, *rest = entries
        yield PageRow(
            label=line.label,
            marks=label.marks,
            group=line.group,
            unscored=line.unscored is not None or not line.available,
            cells=tuple(
                _cell(report, line, column, entry, found, sources) for column, entry in zip(columns, rest, strict=True)
            ),
            details=found,
        )


def _details(row: Row, table: Table, graphs: Sequence[Graph], store: Store, number: int) -> dict[str, Details]:
    """By key: of the row's runs in each profile, and of its ensembles in the paper's."""
    behind = [found for graph in graphs if (found := details(table, row, graph, store)) is not None]
    by_key = {f"row-{number}-{found.profile}": found for found in behind}
    ensembles = ensemble_details(table, row, graphs[0], store)
    return by_key | ({} if ensembles is None else {f"row-{number}-ensembles": ensembles})


def _cell(
    report: Report,
    line: ReportRow,
    column: Column,
    entry: Entry,
    found: Mapping[str, Details],
    sources: Sequence[str],
) -> PageCell:
    source = None
    if column.title == PUBLISHED and line.published is not None:
        source = sources.index(line.published.source) + 1
    behind = {OURS: "paper", ENSEMBLE: "ensembles"}.get(column.title)
    if report.smaller and column.title.startswith(f"{report.smaller} profile"):
        behind = report.smaller
    return PageCell(column.key, entry, source, next((key for key in found if key.endswith(f"-{behind}")), None))


def _sources(report: Report) -> tuple[Source, ...]:
    """The paper, then each place where a value was published; one without an address of its own has the paper's."""
    paper = Source(report.paper, address_in(report.paper))
    places = dict.fromkeys(line.published.source for line in report.lines if line.published is not None)
    return (paper, *(Source(text, address_in(text) or paper.address) for text in places if text != paper.text))


def address_in(text: str) -> str | None:
    """The address of the first URL, arXiv number or DOI that a text names."""
    found = _LINK.search(text)
    if found is None:
        return None
    if found["url"]:
        return found["url"]
    return f"https://arxiv.org/abs/{found['arxiv']}" if found["arxiv"] else f"https://doi.org/{found['doi']}"
