"""How much of each paper there is: every published number that a recipe has, and whether it has a verdict."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from bench.cost import CostTable
from bench.recipe import Library, Row, Table
from bench.report.model import Report, ReportRow
from bench.report.table import build
from bench.store import Store

# What there may be of a published number, and of a sentence, in the order of :class:`Coverage`.
_NUMBERS = ("verdict", "no runs", "no verdict", "waiting")
_CLAIMS = ("claim", "tested")


@dataclass(frozen=True)
class Coverage:
    """The published numbers of one paper; a mean and the single networks behind it are a number each.

    Args:
        paper: as its tables name it.
        published: all of them, each of which is one of the next four.
        verdict: those that a verdict stands beside.
        no_runs: those that get one once their runs are trained.
        no_verdict: those that are shown without: of unscored rows, single networks, ensembles.
        waiting: those of rows that wait for what is not here.
        claims: sentences of the paper that compare rows.
        tested: those of them of which our runs say something.
    """

    paper: str
    published: int
    verdict: int
    no_runs: int
    no_verdict: int
    waiting: int
    claims: int
    tested: int


def coverage(library: Library, store: Store, costs: CostTable) -> list[Coverage]:
    """Of every paper of which a table has numbers, in the order of the tables."""
    papers: dict[str, Counter[str]] = {}
    for table in library.tables.values():
        if any(row.published for row in table.rows.values()):
            states = papers.setdefault(table.paper, Counter())
            states.update(_states(table, build(library, table.name, store, costs)))
    return [
        Coverage(paper, sum(states[state] for state in _NUMBERS), *(states[state] for state in (*_NUMBERS, *_CLAIMS)))
        for paper, states in papers.items()
    ]


def _states(table: Table, report: Report) -> Iterator[str]:
    """What there is of each published number, and of each sentence."""
    for row, line in zip(table.rows.values(), report.lines, strict=True):
        for metric, cell in row.published.items():
            yield _state(row, line, metric, report.metric.name)
            yield from ["no verdict" if row.stages else "waiting"] * len(cell.nets)
    for claim, claimed in zip(table.claims, report.claims, strict=True):
        if not claim.ours:
            yield "claim"
            if claimed.verdict.word not in ("waits", "no runs yet"):
                yield "tested"


def _state(row: Row, line: ReportRow, metric: str, quality: str) -> str:
    if not row.stages:
        return "waiting"
    costs = {key: cost.verdict for key, cost in line.costs.items()}
    verdict = ({quality: line.verdict} | costs).get(metric)
    if verdict is None:
        return "no verdict"
    return "no runs" if verdict.word == "no runs yet" else "verdict"
