"""The cells of a row: what its records measured, and what it costs, each beside the published value."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from bench.cost import CostTable, bytes_of, cost_of, forward_flops, step_macs
from bench.graph import Graph, Run
from bench.metrics import ERROR, Metric
from bench.recipe import Cell, Row
from bench.recipe.model import CostColumn
from bench.record import Record, test_score
from bench.report.inference import nested
from bench.report.model import CostCell, Ensemble, Epoch, Fidelity, Measured
from bench.report.sources import Sources
from bench.report.verdict import Verdict, judge, judge_cost
from bench.store import Store

BOTH: tuple[Epoch, ...] = ("last", "best")
COST_METRICS: tuple[CostColumn, ...] = ("params", "trcost", "tecost", "iterations", "size")


def cost_columns(columns: Iterable[str]) -> list[CostColumn]:
    """Those of a table's columns that are costs."""
    return [cost for column in columns for cost in COST_METRICS if cost == column]


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
    recorded: tuple[Sample, ...]

    def sources(self, seeds: Iterable[int]) -> Sources:
        """Where the runs of some seeds come from."""
        return Sources({sample.seed: [sample.run] for sample in self.recorded if sample.seed in seeds})


@dataclass(frozen=True)
class Comparison:
    """What a row's numbers are compared with, the margin and why, and whether its training had to be assumed."""

    published: Cell
    margin: float
    reason: str | None = None
    assumed: bool = False


def collect(graph: Graph, store: Store, table: str, row: Row) -> Samples:
    """The records of a row's runs in a plan."""
    runs = graph.rows.get((table, row.name), {})
    records = ((seed, run, store.latest_record(run)) for seed, run in runs.items())
    return Samples(len(runs), tuple(Sample(seed, run, record) for seed, run, record in records if record is not None))


def protocols(row: Row, metric: Metric) -> tuple[Epoch, ...]:
    """The published protocol; both where it is unknown or where there is nothing to be judged."""
    cell = row.published.get(metric.name)
    if cell is None or row.unscored or cell.protocol == "unknown":
        return BOTH
    return (cell.protocol,)


def recorded(row: Row, samples: Samples, protocol: Epoch, metric: Metric) -> dict[int, float]:
    """What stands for a metric by seed, of the runs that did not diverge: the first network's, or a group's mean."""
    by_seed = {}
    for sample in samples.recorded:
        results = sample.record.results if row.report == "mean" else sample.record.results[:1]
        values = [result.score(metric.recorded.name)[protocol] for result in results]
        known = [value for value in values if value is not None]
        if sample.record.status == "done" and values and len(known) == len(values):
            by_seed[sample.seed] = fmean(known)
    return by_seed


def measured_cell(
    row: Row, samples: Samples, protocol: Epoch, metric: Metric, compared: Comparison | None = None
) -> Measured:
    """Our cell under one protocol, with a verdict where it is compared with something; an unscored row gets none."""
    values = {seed: metric.shown(value) for seed, value in recorded(row, samples, protocol, metric).items()}
    groups = samples.sources(values).groups
    ours = nested([[values[seed] for seed in group] for group in groups]) if values else None
    return Measured(
        protocol=protocol,
        values=values,
        planned=samples.planned,
        diverged=len(samples.recorded) - len(values),
        sources=len(groups),
        mean=ours.mean if ours else None,
        sd=ours.sd if ours and len(values) > 1 else None,
        difference=ours.mean - compared.published.value if ours and compared else None,
        verdict=_verdict(row, samples, values, compared) if compared and not row.unscored else None,
    )


def _verdict(row: Row, samples: Samples, values: Mapping[int, float], compared: Comparison) -> Verdict:
    """What our values come to, and what that depends on."""
    recorded = len(samples.recorded)
    if recorded and not values:
        return Verdict("undecided", "every run diverged")
    sources = samples.sources(values)
    # A row names its sources where the paper has one for all its networks.
    together = bool(row.sources) and not sources.single
    ours = [[values[seed] for seed in group] for group in sources.groups]
    verdict = judge(ours, compared.published, compared.margin, together=together)
    conditions = [sources.given] if sources.single else []
    progressed = progress(len(values), recorded, samples.planned)
    return verdict.given([*conditions, *progressed], assumed=compared.assumed)


def progress(survived: int, recorded: int, planned: int) -> Iterator[str]:
    """What a verdict says of the seeds that it rests on: that some diverged, or are still to come."""
    if survived < recorded:
        yield f"by the {survived} of {recorded} seeds that did not diverge"
    if recorded < planned:
        yield "interim"


def train_cell(row: Row, samples: Samples, metric: Metric) -> Measured | None:
    """What the networks made of the training images, as they were shown them in the last epoch.

    None for a metric that is not made of the error: that of the training images is all that runs keep.
    """
    if metric.recorded != ERROR:
        return None
    values = {}
    for sample in samples.recorded:
        if sample.record.status == "done":
            networks = sample.record.curve[-1]["networks"]
            error = fmean(n["train_error"] for n in (networks if row.report == "mean" else networks[:1]))
            values[sample.seed] = metric.shown(error)
    return Measured(
        protocol="last",
        values=values,
        planned=samples.planned,
        diverged=len(samples.recorded) - len(values),
        sources=len(samples.sources(values).groups),
        mean=fmean(values.values()) if values else None,
        sd=stdev(values.values()) if len(values) > 1 else None,
        difference=None,
        verdict=None,
    )


def ensemble_values(record: Record, metric: Metric) -> list[float]:
    """What each of the ensembles of an evaluation comes to, as the metric has it."""
    return [metric.shown(test_score(entry, metric.recorded.name)) for entry in record.curve]


def ensemble_cell(graph: Graph, store: Store, table: str, row: Row, metric: Metric) -> Ensemble | None:
    """The ensembles of a row's networks in a plan; None where it plans none."""
    runs = graph.ensembles.get((table, row.name), ())
    if not runs:
        return None
    published = row.published["ensemble"].value if "ensemble" in row.published else None
    records = [record for run in runs if (record := store.latest_record(run)) is not None]
    size = runs[0].ensemble or 1
    if not records:
        return Ensemble(size, published)
    values = [value for record in records for value in ensemble_values(record, metric)]
    sd = stdev(values) if len(values) > 1 else None
    return Ensemble(size, published, len(values), fmean(values), sd)


def spent(store: Store, samples: Samples, row: Row) -> float | None:
    """The mean FLOPs that a row's own stages really took, by the records that say it."""
    totals = []
    for sample in samples.recorded:
        own = [source for source in sample.run.sources.values() if source.stage in row.stages]
        records = [sample.record, *(store.latest_record(run) for run in own)]
        flops = [record and (record.flops_spent or record.flops) for record in records]
        if sample.record.flops_spent is not None and all(flops):
            totals.append(sum(n for n in flops if n))
    return fmean(totals) if totals else None


def fidelity_cell(graph: Graph, store: Store, table: str, row: Row) -> Fidelity | None:
    """What was measured of a row's probabilities, and of its baseline's; None where nothing was yet."""
    pairs = graph.fidelities.get((table, row.name), {}).values()
    records = [record for own, _ in pairs if (record := store.latest_record(own)) is not None]
    others = [record for _, alone in pairs if alone and (record := store.latest_record(alone)) is not None]
    return Fidelity(len(records), _means(records), _means(others)) if records else None


def _means(records: Sequence[Record]) -> dict[str, float]:
    """The mean of each number that all of some evaluations have."""
    entries = [record.curve[0] for record in records]
    return {
        name: fmean(entry[name] for entry in entries)
        for name in (entries[0] if entries else ())
        if all(entry[name] is not None for entry in entries)
    }


def cost_cells(
    row: Row, run: Run, steps: int | None, costs: CostTable, wanted: Sequence[CostColumn]
) -> dict[CostColumn, CostCell]:
    """Published and derived costs of a row, ``run`` being one of its last stage and ``steps`` its training steps.

    Params in millions, size in 1e6 bytes, trcost and tecost in 1e8 FLOPs an image; ``trcost`` is the forward cost of
    all networks that a training step runs, teachers among them. What was not counted, or cannot be, is None.
    """
    deployed = cost_of(run.stage.networks[0], run.stage.data.set, costs)
    size = bytes_of(run.stage.networks[0], run.stage.deployed_weights, run.stage.data.set, costs)
    step = step_macs(run, costs)
    derived: dict[CostColumn, float | None] = {
        "params": None if deployed is None else deployed.params / 1e6,
        "size": None if size is None else size / 1e6,
        "tecost": None if deployed is None or deployed.macs is None else forward_flops(deployed.macs) / 1e8,
        "trcost": None if step is None else forward_flops(sum(step[0]) + sum(step[1])) / 1e8,
        "iterations": steps,
    }
    published = {column: cell.value for column, cell in row.published.items()}
    cells = {}
    for column in wanted:
        theirs, ours = published.get(column), derived[column]
        # No training step costs less than the network that it trains.
        floor = published.get("tecost", derived["tecost"]) if column == "trcost" else None
        verdict = None if theirs is None or ours is None else judge_cost(theirs, ours, floor)
        cells[column] = CostCell(theirs, ours, verdict)
    return cells
