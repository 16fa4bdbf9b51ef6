"""Recipes and records → one :class:`Sheet`: every reproduced number beside the published one, with its verdict."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from bench.cost import CostTable
from bench.graph import Graph, plan
from bench.profiles import Profile
from bench.recipe import Claim, Library, Row, Table
from bench.report.costing import COST_METRICS, cost_cells, iterations, training
from bench.report.measure import BOTH, Samples, caveats, collect, ensemble, errors, measure, protocols
from bench.report.notes import Footnotes, assumption
from bench.report.sheet import Claimed, CostCell, Line, Provenance, Sheet
from bench.report.verdict import Verdict, alike, claim, combine
from bench.store import Store


@dataclass(frozen=True)
class _Sources:
    """What the lines of one table are made from."""

    library: Library
    table: Table
    store: Store
    costs: CostTable
    paper: Graph
    smaller: Graph
    notes: Footnotes


def build(
    library: Library,
    name: str,
    store: Store,
    costs: CostTable,
    *,
    smaller: Profile | None = None,
    absent: Callable[[str], bool] = lambda name: False,
) -> Sheet:
    """The table ``name`` beside its reproduction.

    Args:
        library: all recipes.
        name: the table's name.
        store: where the records are; a run is looked up by its key.
        costs: counted networks; one that is missing is shown as unknown, never counted here.
        smaller: a reduced profile to show in a column of its own; verdicts rest on the paper profile alone.
        absent: whether a data set is not at hand, as in :func:`bench.graph.plan`; matters for ``smaller`` only.

    Raises:
        UsageError: no table has this name.
    """
    table = library.table(name)
    paper = plan(library, [name], "paper")
    reduced = plan(library, [name], smaller, absent=absent) if smaller else Graph()
    sources = _Sources(library, table, store, costs, paper, reduced, Footnotes())
    lines = tuple(_line(sources, row) for row in table.rows.values())
    stages = [stage for row in table.rows.values() for stage in row.stages]
    return Sheet(
        table=name,
        title=table.title,
        paper=table.paper,
        metric=table.metric,
        grouped_by=table.grouped_by,
        margin=table.margin,
        columns=table.columns,
        smaller=smaller,
        lines=lines,
        claims=tuple(_claimed(sources, said) for said in table.claims),
        footnotes=sources.notes.texts,
        assumed=tuple(assumption(path, reason, stages) for path, reason in table.assumed.items()),
        deviations=table.deviations,
        provenance=_provenance(paper, store),
    )


def _line(sources: _Sources, row: Row) -> Line:
    bare = Line(row.name, row.label, row.group, available=bool(row.stages), unscored=row.unscored)
    # Columns take their footnotes from left to right, so that the numbers rise as a row is read.
    marks = {"label": sources.notes.mark(_label_notes(row))}
    if not row.stages:
        return replace(bare, marks=_kept(marks))
    samples = collect(sources.paper, sources.store, sources.table.name, row)
    reduced = collect(sources.smaller, sources.store, sources.table.name, row)
    first_run = next(iter(sources.paper.rows[sources.table.name, row.name].values()))
    metric = sources.table.metric
    cell, margin = row.published.get(metric), sources.table.margin
    measured = tuple(measure(row, samples, protocol, metric, cell, margin) for protocol in protocols(row, metric))
    verdicts: dict[str, Verdict] = {m.protocol: m.verdict for m in measured if m.verdict is not None}
    wanted = [metric for metric in sources.table.columns if metric in COST_METRICS]
    # Each takes a plan of its own.
    steps = iterations(sources.library, sources.table, row) if "iterations" in wanted else None
    costs = cost_cells(row, first_run, steps, sources.costs, wanted)
    marks["published"] = sources.notes.mark([cell.note] if cell and cell.note else [])
    marks["measured"] = sources.notes.mark(caveats(samples))
    marks["verdict"] = sources.notes.mark([row.unscored] if row.unscored else [])
    marks |= {metric: sources.notes.mark(_cost_notes(row, metric, cost)) for metric, cost in costs.items()}
    marks["smaller"] = sources.notes.mark(_smaller_notes(row, reduced))
    return replace(
        bare,
        published=cell,
        measured=measured,
        verdict=combine(verdicts) if verdicts else None,
        costs=costs,
        ensemble=ensemble(sources.paper, sources.store, sources.table.name, row, metric),
        smaller_ensemble=ensemble(sources.smaller, sources.store, sources.table.name, row, metric),
        smaller=tuple(
            measure(row, reduced, protocol, metric, None, margin)
            for protocol in protocols(row, metric)
            if reduced.planned
        ),
        training=training(row, first_run, sources.costs),
        marks=_kept(marks),
    )


def _kept(marks: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    return {column: numbers for column, numbers in marks.items() if numbers}


def _label_notes(row: Row) -> Iterator[str]:
    for path, reason in row.assumed.items():
        yield assumption(path, reason, row.stages)
    yield from (f"deviation: {text}" for text in row.deviations)
    yield from row.notes


def _cost_notes(row: Row, metric: str, cost: CostCell) -> Iterator[str]:
    if cost.verdict is not None and cost.verdict.word == "inconsistent":
        yield cost.verdict.reason
    if metric in row.published and (note := row.published[metric].note):
        yield note


def _smaller_notes(row: Row, samples: Samples) -> Iterator[str]:
    yield from caveats(samples)
    used = sorted({sample.run.stage.data.set for sample in samples.found} - {row.stages[-1].data.set})
    if used:
        yield f"made on {', '.join(used)}, a stand-in for {row.stages[-1].data.set}"


def _claimed(sources: _Sources, said: Claim) -> Claimed:
    rows = [sources.table.rows[name] for name in (said.better, said.worse)]
    if said.alike:
        graph, store, name, metric = sources.paper, sources.store, sources.table.name, sources.table.metric
        found = [ensemble(graph, store, name, row, metric) for row in rows]
        means = [one.mean if one else None for one in found]
        return Claimed(said.text, rows[0].label, rows[1].label, alike(means[0], means[1], sources.table.margin))
    followed = [protocol for protocol in BOTH if any(protocol in protocols(row, sources.table.metric) for row in rows)]
    samples = [collect(sources.paper, sources.store, sources.table.name, row) for row in rows]
    verdicts: dict[str, Verdict] = {
        protocol: claim(*(errors(row, found, protocol) for row, found in zip(rows, samples, strict=True)))
        for protocol in followed
    }
    return Claimed(said.text, rows[0].label, rows[1].label, combine(verdicts))


def _provenance(paper: Graph, store: Store) -> Provenance:
    records = [record for run in paper.runs.values() if (record := store.find(run)) is not None]
    dates = sorted(record.finished for record in records)
    return Provenance(
        planned=len(paper.runs),
        records=len(records),
        commits=_distinct([record.commit or "unknown" for record in records]),
        devices=_distinct([record.device for record in records]),
        first=dates[0] if dates else None,
        last=dates[-1] if dates else None,
    )


def _distinct(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(set(texts)))
