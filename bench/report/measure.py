"""From records to the measured cells of a row, and what must be said of the runs behind them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from bench.graph import Graph, Run
from bench.recipe import Cell, Row
from bench.recipe.model import Quality
from bench.report.sheet import Ensemble, Epoch, Measured
from bench.report.verdict import Verdict, judge
from bench.store import Record, Store

BOTH: tuple[Epoch, ...] = ("last", "best")


@dataclass(frozen=True)
class Sample:
    """A run of a row that has a record."""

    seed: int
    run: Run
    record: Record


@dataclass(frozen=True)
class Samples:
    """All runs of a row that have a record, and how many it plans."""

    planned: int
    found: tuple[Sample, ...]


def collect(graph: Graph, store: Store, table: str, row: Row) -> Samples:
    """The records of a row's runs in a plan."""
    runs = graph.rows.get((table, row.name), {})
    found = ((seed, run, store.find(run)) for seed, run in runs.items())
    return Samples(len(runs), tuple(Sample(seed, run, record) for seed, run, record in found if record is not None))


def protocols(row: Row, metric: Quality) -> tuple[Epoch, ...]:
    """The published protocol; both where it is unknown or where there is nothing to be judged."""
    cell = row.published.get(metric)
    if cell is None or row.unscored or cell.protocol == "unknown":
        return BOTH
    return (cell.protocol,)


def errors(row: Row, samples: Samples, protocol: Epoch) -> dict[int, float]:
    """Test error (%) by seed of the runs that did not diverge: the first network's, or the mean over a group."""
    found = {sample.seed: _error(row, sample.record, protocol) for sample in samples.found}
    return {seed: error for seed, error in found.items() if error is not None}


def _error(row: Row, record: Record, protocol: Epoch) -> float | None:
    results = record.results if row.report == "mean" else record.results[:1]
    values = [result.last_error if protocol == "last" else result.best_error for result in results]
    known = [value for value in values if value is not None]
    return fmean(known) if record.status == "done" and values and len(known) == len(values) else None


def measure(
    row: Row, samples: Samples, protocol: Epoch, metric: Quality, published: Cell | None, margin: float
) -> Measured:
    """Our cell under one protocol, compared with ``published`` where that is given; an unscored row gets no verdict."""
    values = errors(row, samples, protocol)
    if metric == "accuracy":
        values = {seed: 100 - error for seed, error in values.items()}
    mean = fmean(values.values()) if values else None
    diverged = len(samples.found) - len(values)
    verdict = None
    if published is not None and not row.unscored:
        verdict = judge([*values.values()], published, margin)
        if diverged and not values:
            verdict = Verdict("undecided", "every run diverged")
    return Measured(
        protocol=protocol,
        values=values,
        planned=samples.planned,
        diverged=diverged,
        mean=mean,
        sd=stdev(values.values()) if len(values) > 1 else None,
        difference=None if mean is None or published is None else mean - published.value,
        verdict=verdict,
    )


def ensemble(graph: Graph, store: Store, table: str, row: Row, metric: Quality) -> Ensemble | None:
    """The ensembles of a row's networks in a plan; None where it plans none."""
    run = graph.ensembles.get((table, row.name))
    if run is None or run.ensemble is None:
        return None
    published = row.published["ensemble"].value if "ensemble" in row.published else None
    record = store.find(run)
    if record is None:
        return Ensemble(run.ensemble, published)
    errors = [line["test_error"] for line in record.curve]
    values = [100 - error for error in errors] if metric == "accuracy" else errors
    sd = stdev(values) if len(values) > 1 else None
    return Ensemble(run.ensemble, published, len(values), fmean(values), sd)


def caveats(samples: Samples) -> Iterator[str]:
    """What a reader must know of the runs behind one cell: older versions, mixed precision, different sources."""
    old = [sample for sample in samples.found if sample.record.id != sample.run.id]
    if old:
        runs = f"{len(old)} of {len(samples.found)} runs {'was' if len(old) == 1 else 'were'}"
        yield f"{runs} made by an older version of {', '.join(_changed(old)) or 'a run that they take from'}"
    reached = sorted({sample.record.precision for sample in samples.found})
    if len(reached) > 1:
        yield f"runs in {' and '.join(reached)}"
    for edge, noun in (("teacher", "teachers"), ("init", "initial weights"), ("transfer_set", "transfer sets")):
        if _differ(samples.found, edge):
            yield f"the runs saw different {noun}: what the recipe names was made more than once"


def _changed(old: Iterable[Sample]) -> list[str]:
    """Names of the components whose version has changed since."""
    return sorted(
        {
            name
            for sample in old
            for name, version in sample.run.versions.items()
            if sample.record.versions.get(name) != version
        }
    )


def _differ(found: Sequence[Sample], edge: str) -> bool:
    """Whether runs that name the same source took artifacts of different bytes."""
    digests: dict[str, set[str]] = {}
    for sample in found:
        if edge in sample.run.sources and edge in sample.record.taken:
            digests.setdefault(sample.run.sources[edge].key, set()).add(sample.record.taken[edge]["artifact"])
    return any(len(seen) > 1 for seen in digests.values())
