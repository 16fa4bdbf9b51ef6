"""The runs behind a cell: where each record is, where it was made, how it went, and the command that makes it."""

import math
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from bench.graph import Graph, Run
from bench.metrics import Metric
from bench.profiles import Profile
from bench.recipe import Row, Table
from bench.record import Record, Result
from bench.report.cells import ensemble_values
from bench.report.curves import Curve, quality_curves
from bench.report.model import Epoch
from bench.report.remaining import State, state_of
from bench.store import Store


@dataclass(frozen=True)
class RunDetails:
    """One seed of a row, or 0 for an evaluation over all of them; without a record what it says is None.

    ``last`` and ``best`` are values of the metric, as the table has them; ``sources`` are the runs that it takes
    from, each with the stem of the record that it really took, where there is one.
    """

    seed: int
    state: State
    command: str
    sources: tuple[str, ...]
    record: Record | None
    last: float | None = None
    best: float | None = None


@dataclass(frozen=True)
class Details:
    """All runs of a row in one profile, and a learning curve for each that has a record with one.

    Or the evaluations of its ensembles, of so many ``networks`` each.
    """

    profile: Profile
    runs: tuple[RunDetails, ...]
    curves: tuple[Curve, ...] = ()
    networks: int | None = None


def details(table: Table, row: Row, graph: Graph, store: Store) -> Details | None:
    """The runs behind a row's cell in a plan; None where it plans none."""
    runs = graph.rows.get((table.name, row.name))
    if not runs:
        return None
    records = {seed: store.latest_record(run) for seed, run in runs.items()}
    curves = (_curve(row, run, record, table.metric) for seed, run in runs.items() if (record := records[seed]))
    return Details(
        profile=next(iter(runs.values())).profile,
        runs=tuple(_run_details(table, row, run, records[seed], state_of(run, store)) for seed, run in runs.items()),
        curves=tuple(curve for curve in curves if curve is not None),
    )


def ensemble_details(table: Table, row: Row, graph: Graph, store: Store) -> Details | None:
    """The evaluations behind the cell of a row's ensembles; None where a plan has none. ``last`` is their mean."""
    runs = graph.ensembles.get((table.name, row.name), ())
    if not runs:
        return None
    found = []
    for run in runs:
        made = _run_details(table, row, run, store.latest_record(run), state_of(run, store))
        if made.record is not None:
            made = replace(made, last=fmean(ensemble_values(made.record, table.metric)), best=None)
        found.append(made)
    return Details(runs[0].profile, tuple(found), networks=runs[0].ensemble)


def _run_details(table: Table, row: Row, run: Run, record: Record | None, state: State) -> RunDetails:
    seed = ["--seed", str(run.seed)] if run.seed else []
    command = shlex.join(["kdbench", "run", table.name, "--row", row.name, *seed, "--profile", run.profile])
    if record is None:
        return RunDetails(run.seed, state, command, _sources(run, {}), None)
    results = record.results if row.report == "mean" else record.results[:1]
    return RunDetails(
        run.seed,
        state,
        command,
        _sources(run, record.taken),
        record,
        last=_quality(results, "last", table.metric),
        best=_quality(results, "best", table.metric),
    )


def _sources(run: Run, taken: Mapping[str, Mapping[str, str]]) -> tuple[str, ...]:
    return tuple(
        f"{edge}: {source.name}#{source.seed}" + (f", {taken[edge]['record']}" if edge in taken else "")
        for edge, source in run.sources.items()
    )


def _quality(results: Sequence[Result], epoch: Epoch, metric: Metric) -> float | None:
    """The mean over networks, as the metric has it; None where one diverged."""
    values = [result.score(metric.recorded.name)[epoch] for result in results]
    known = [value for value in values if value is not None]
    return metric.shown(fmean(known)) if known and len(known) == len(values) else None


def _curve(row: Row, run: Run, record: Record, metric: Metric) -> Curve | None:
    """What the cell reports, after each epoch: the first network, or the mean over the group."""
    if not record.curve or "test_error" not in record.curve[0]["networks"][0]:
        return None
    curves = quality_curves(run, record, metric)
    if row.report == "first":
        return curves[0]
    means = tuple(map(fmean, zip(*(curve.values for curve in curves), strict=True)))
    return Curve(curves[0].name, run.seed, curves[0].steps, means)


def points(curves: Collection[Curve]) -> list[dict[str, float | int]]:
    """Curves as rows of numbers for a chart, without epochs that are no number."""
    return [
        {"seed": curve.seed, "step": step, "value": round(value, 4)}
        for curve in curves
        for step, value in zip(curve.steps, curve.values, strict=True)
        if math.isfinite(value)
    ]
