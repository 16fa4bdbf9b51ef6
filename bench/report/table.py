"""Recipes and records → one :class:`Report`: every reproduced number beside the published one, with its verdict."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from bench.cost import CostTable, iterations, training_cost
from bench.errors import UsageError
from bench.graph import Graph, plan
from bench.metrics import Metric
from bench.profiles import Profile
from bench.recipe import Library, Row, Table
from bench.report.cells import (
    Comparison,
    Samples,
    collect,
    cost_cells,
    cost_columns,
    ensemble_cell,
    fidelity_cell,
    measured_cell,
    protocols,
    spent,
    train_cell,
)
from bench.report.claims import judge_claim
from bench.report.evidence import bounded, nearest, passed
from bench.report.footnotes import (
    Footnotes,
    assumption,
    cost_notes,
    label_notes,
    published_notes,
    run_notes,
    smaller_notes,
    source_note,
)
from bench.report.inference import holm
from bench.report.margin import margin_of
from bench.report.model import Epoch, Measured, Provenance, Report, ReportRow, Training
from bench.report.verdict import Verdict, combine
from bench.report.waiting import waiting_row
from bench.schema import nearest as nearest_name
from bench.store import Store

# How a network was trained, as far as recipes call it so; what a paper leaves out of it can change any number.
ASSUMED_TRAINING = ("schedule", "optimizer", "initial")


@dataclass(frozen=True)
class _Inputs:
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
    rows: Collection[str] = (),
) -> Report:
    """The table ``name`` beside its reproduction.

    Args:
        library: all recipes.
        name: the table's name.
        store: where the records are; a run is looked up by its key.
        costs: counted networks; one that is missing is shown as unknown, never counted here.
        smaller: a reduced profile to show in a column of its own; verdicts rest on the paper profile alone.
        rows: the rows to show, with the claims that name them; none means all. What is corrected for all of a table's
            verdicts still is.

    Raises:
        UsageError: there is no such table or row.
    """
    table = library.table(name)
    for row in rows:
        if row not in table.rows:
            raise UsageError(f"no row {row!r} in {name}; {nearest_name(row, table.rows)}")
    paper = plan(library, [name], "paper")
    reduced = plan(library, [name], smaller) if smaller else Graph()
    inputs = _Inputs(library, table, store, costs, paper, reduced, Footnotes())
    lines = _corrected([_row(inputs, row) for row in table.rows.values()])
    named = [claim for claim in table.claims if not rows or {claim.better, claim.worse} & {*rows}]
    return Report(
        table=name,
        title=table.title,
        paper=table.paper,
        metric=table.metric,
        grouped_by=table.grouped_by,
        margin=table.margin,
        columns=table.columns,
        smaller=smaller,
        lines=tuple(line for line in lines if not rows or line.name in rows),
        claims=tuple(judge_claim(paper, store, table, statement) for statement in named),
        smaller_claims=tuple(judge_claim(reduced, store, table, statement) for statement in named if smaller),
        footnotes=inputs.footnotes.texts,
        assumed=tuple(assumption(path, reason, table.rows.values()) for path, reason in table.assumed.items()),
        deviations=table.deviations,
        provenance=_provenance(paper, store),
    )


def _row(inputs: _Inputs, row: Row) -> ReportRow:
    table, store, mark = inputs.table, inputs.store, inputs.footnotes.mark
    bare = ReportRow(row.name, row.label, row.group, available=bool(row.stages), unscored=row.unscored, waits=row.waits)
    # Columns take their footnotes from left to right, so that the numbers rise as a row is read.
    marks = {"label": mark(label_notes(row))}
    if row.waits:
        return waiting_row(bare, row, table, mark)
    if not row.stages:
        return replace(bare, marks={column: numbers for column, numbers in marks.items() if numbers})
    samples = collect(inputs.paper, store, table.name, row)
    reduced = collect(inputs.smaller, store, table.name, row)
    first_run = next(iter(inputs.paper.rows[table.name, row.name].values()))
    cell, metric = row.published.get(table.metric.name), table.metric
    compared = Comparison(cell, *margin_of(inputs.library, table, row), _training_assumed(table, row)) if cell else None
    measured = _measured(row, samples, protocols(row, metric), metric, compared)
    verdict, grounds = _verdict(inputs, row, samples, measured, compared)
    wanted = cost_columns(table.columns)
    # Each takes a plan of its own.
    steps = iterations(inputs.library, table, row) if "iterations" in wanted else None
    costs = cost_cells(row, first_run, steps, inputs.costs, wanted)
    marks["published"] = mark(published_notes(cell))
    marks["measured"] = mark(run_notes(samples))
    marks["verdict"] = mark([row.unscored] if row.unscored else grounds)
    marks |= {column: mark(cost_notes(row, column, cost)) for column, cost in costs.items()}
    marks["smaller"] = mark(smaller_notes(row, reduced))
    return replace(
        bare,
        published=cell,
        measured=measured,
        margin=compared.margin if compared and not row.unscored else None,
        verdict=verdict,
        costs=costs,
        ensemble=ensemble_cell(inputs.paper, store, table.name, row, metric),
        smaller_ensemble=ensemble_cell(inputs.smaller, store, table.name, row, metric),
        fidelity=fidelity_cell(inputs.paper, store, table.name, row),
        smaller_fidelity=fidelity_cell(inputs.smaller, store, table.name, row),
        train=train_cell(row, samples, metric) if "train" in table.columns else None,
        smaller_train=train_cell(row, reduced, metric) if "train" in table.columns and reduced.planned else None,
        smaller=_measured(row, reduced, protocols(row, metric), metric) if reduced.planned else (),
        training=Training(*training_cost(row, first_run, inputs.costs), spent(inputs.store, samples, row)),
        marks={column: numbers for column, numbers in marks.items() if numbers},
    )


def _measured(
    row: Row, samples: Samples, followed: Iterable[Epoch], metric: Metric, compared: Comparison | None = None
) -> tuple[Measured, ...]:
    return tuple(measured_cell(row, samples, protocol, metric, compared) for protocol in followed)


def _training_assumed(table: Table, row: Row) -> bool:
    """Whether batch, rate, schedule, optimiser or initial weights of a row are not the paper's own words."""
    return any(path.partition(".")[0] in ASSUMED_TRAINING for path in (*table.assumed, *row.assumed))


def _verdict(
    inputs: _Inputs, row: Row, samples: Samples, measured: Sequence[Measured], compared: Comparison | None
) -> tuple[Verdict | None, list[str]]:
    """The verdict on a row under all its protocols, and what must be said beside it."""
    table, metric, followed = inputs.table, inputs.table.metric, [m.protocol for m in measured]
    verdicts: dict[str, Verdict] = {m.protocol: m.verdict for m in measured if m.verdict is not None}
    if compared is None or not verdicts:
        return None, []

    def aside(other: Row) -> tuple[Row, Samples]:
        return other, collect(inputs.paper, inputs.store, table.name, other)

    verdict = combine(verdicts)
    grounds = [compared.reason, source_note(samples.sources(measured[0].values))]
    if verdict.word == "not reproduced":
        grounds.append(passed(samples, compared, metric))
        bound = bounded(*aside(table.rows[row.bounded_by]), compared, metric) if row.bounded_by else None
        if bound is not None:
            verdict = replace(verdict, word=bound.word, reason=bound.reason, assumed=False)
            grounds.append(bound.reason)
    tried = [aside(other) for other in table.rows.values() if other.hypothesis_of == row.name]
    fits = [(other, _measured(other, found, followed, metric)) for other, found in tried]
    return verdict, [text for text in (*grounds, nearest(fits, compared)) if text]


def _corrected(lines: list[ReportRow]) -> tuple[ReportRow, ...]:
    """The rows with the p-values of their verdicts after Holm's correction."""
    p = {line.name: line.verdict.p for line in lines if line.verdict is not None and line.verdict.p is not None}
    corrected = dict(zip(p, holm([*p.values()]), strict=True))
    return tuple(replace(line, holm=corrected.get(line.name)) for line in lines)


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
        precisions=distinct(record.precision for record in records),
        libraries=distinct(" ".join(item) for record in records for item in record.libraries.items()),
        first=dates[0] if dates else None,
        last=dates[-1] if dates else None,
    )
