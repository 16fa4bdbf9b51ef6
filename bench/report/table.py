"""Recipes and records → one :class:`Report`: every reproduced number beside the published one, with its verdict."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial

from bench.cost import CostTable, iterations, training_cost
from bench.graph import Graph, plan
from bench.profiles import Profile
from bench.recipe import Claim, Library, Row, Table
from bench.report.cells import (
    BOTH,
    COST_METRICS,
    collect,
    cost_cells,
    ensemble_cell,
    errors,
    measured_cell,
    protocols,
)
from bench.report.equivalence import equivalent
from bench.report.footnotes import (
    Footnotes,
    assumption,
    cost_notes,
    label_notes,
    published_notes,
    run_notes,
    smaller_notes,
)
from bench.report.model import Claimed, Provenance, Report, ReportRow, Training
from bench.report.verdict import Verdict, alike, claim, combine
from bench.report.waiting import waiting_row
from bench.store import Store


@dataclass(frozen=True)
class _Sources:
    """What the rows of one report are made from."""

    library: Library
    table: Table
    store: Store
    costs: CostTable
    paper: Graph
    smaller: Graph
    footnotes: Footnotes


def build(
    library: Library,
    name: str,
    store: Store,
    costs: CostTable,
    *,
    smaller: Profile | None = None,
) -> Report:
    """The table ``name`` beside its reproduction.

    Args:
        library: all recipes.
        name: the table's name.
        store: where the records are; a run is looked up by its key.
        costs: counted networks; one that is missing is shown as unknown, never counted here.
        smaller: a reduced profile to show in a column of its own; verdicts rest on the paper profile alone.

    Raises:
        UsageError: no table has this name.
    """
    table = library.table(name)
    paper = plan(library, [name], "paper")
    reduced = plan(library, [name], smaller) if smaller else Graph()
    sources = _Sources(library, table, store, costs, paper, reduced, Footnotes())
    lines = tuple(_row(sources, row) for row in table.rows.values())
    return Report(
        table=name,
        title=table.title,
        paper=table.paper,
        metric=table.metric,
        grouped_by=table.grouped_by,
        margin=table.margin,
        columns=table.columns,
        smaller=smaller,
        lines=lines,
        claims=tuple(_claimed(sources, statement) for statement in table.claims),
        footnotes=sources.footnotes.texts,
        assumed=tuple(assumption(path, reason, table.rows.values()) for path, reason in table.assumed.items()),
        deviations=table.deviations,
        provenance=_provenance(paper, store),
    )


def _row(sources: _Sources, row: Row) -> ReportRow:
    table, store, mark = sources.table, sources.store, sources.footnotes.mark
    bare = ReportRow(row.name, row.label, row.group, available=bool(row.stages), unscored=row.unscored, waits=row.waits)
    # Columns take their footnotes from left to right, so that the numbers rise as a row is read.
    marks = {"label": mark(label_notes(row))}
    if row.waits:
        return waiting_row(bare, row, table, mark)
    if not row.stages:
        return replace(bare, marks={column: numbers for column, numbers in marks.items() if numbers})
    samples = collect(sources.paper, store, table.name, row)
    reduced = collect(sources.smaller, store, table.name, row)
    first_run = next(iter(sources.paper.rows[table.name, row.name].values()))
    cell, metric, margin = row.published.get(table.metric), table.metric, table.margin
    measured = tuple(measured_cell(row, samples, protocol, metric, cell, margin) for protocol in protocols(row, metric))
    verdicts: dict[str, Verdict] = {m.protocol: m.verdict for m in measured if m.verdict is not None}
    wanted = [metric for metric in table.columns if metric in COST_METRICS]
    # Each takes a plan of its own.
    steps = iterations(sources.library, table, row) if "iterations" in wanted else None
    costs = cost_cells(row, first_run, steps, sources.costs, wanted)
    marks["published"] = mark(published_notes(cell))
    marks["measured"] = mark(run_notes(samples))
    marks["verdict"] = mark([row.unscored] if row.unscored else [])
    marks |= {metric: mark(cost_notes(row, metric, cost)) for metric, cost in costs.items()}
    marks["smaller"] = mark(smaller_notes(row, reduced))
    return replace(
        bare,
        published=cell,
        measured=measured,
        verdict=combine(verdicts) if verdicts else None,
        costs=costs,
        ensemble=ensemble_cell(sources.paper, store, table.name, row, metric),
        smaller_ensemble=ensemble_cell(sources.smaller, store, table.name, row, metric),
        smaller=tuple(
            measured_cell(row, reduced, protocol, metric, None, margin)
            for protocol in protocols(row, metric)
            if reduced.planned
        ),
        training=Training(*training_cost(row, first_run, sources.costs)),
        marks={column: numbers for column, numbers in marks.items() if numbers},
    )


def _claimed(sources: _Sources, statement: Claim) -> Claimed:
    table, store = sources.table, sources.store
    rows = [table.rows[name] for name in (statement.better, statement.worse)]
    if statement.waits:
        return Claimed(statement.text, rows[0].label, rows[1].label, Verdict("waits", statement.waits))
    if statement.alike == "ensembles":
        ensembles = [ensemble_cell(sources.paper, store, table.name, row, table.metric) for row in rows]
        better, worse = (ensemble.mean if ensemble else None for ensemble in ensembles)
        verdict = alike(better, worse, table.margin)
    else:
        followed = [epoch for epoch in BOTH if any(epoch in protocols(row, table.metric) for row in rows)]
        samples = [collect(sources.paper, store, table.name, row) for row in rows]
        test = partial(equivalent, margin=table.margin) if statement.alike else claim
        verdict = combine(
            {epoch: test(errors(rows[0], samples[0], epoch), errors(rows[1], samples[1], epoch)) for epoch in followed}
        )
    return Claimed(statement.text, rows[0].label, rows[1].label, verdict)


def _provenance(paper: Graph, store: Store) -> Provenance:
    records = [record for run in paper.runs.values() if (record := store.latest_record(run)) is not None]
    dates = sorted(record.finished for record in records)

    def distinct(texts: Iterable[str]) -> tuple[str, ...]:
        return tuple(sorted(set(texts)))

    return Provenance(
        planned=len(paper.runs),
        records=len(records),
        commits=distinct(record.commit or "unknown" for record in records),
        devices=distinct(record.device for record in records),
        first=dates[0] if dates else None,
        last=dates[-1] if dates else None,
    )
