"""Costs that follow from the graph: a training step's, the deployed network's, and of the whole training."""

from collections.abc import Iterator, Sequence

from bench.cost import CostTable, cost_of, forward_flops, step_macs, steps_taken, training_flops
from bench.graph import Run, plan
from bench.recipe import Library, Row, Table
from bench.recipe.model import Metric
from bench.report.sheet import CostCell, Training
from bench.report.verdict import Verdict, judge_cost

COST_METRICS: tuple[Metric, ...] = ("params", "trcost", "tecost", "iterations")


def cost_cells(
    row: Row, run: Run, steps: int | None, costs: CostTable, wanted: Sequence[Metric]
) -> dict[Metric, CostCell]:
    """Published and derived costs of a row, ``run`` being one of its last stage and ``steps`` its :func:`iterations`.

    Params in millions, trcost and tecost in 1e8 FLOPs an image.
    """
    derived = {**_derived(run, costs), "iterations": steps}
    published = {metric: cell.value for metric, cell in row.published.items()}
    floor = published.get("tecost", derived["tecost"])
    return {
        metric: CostCell(
            published.get(metric),
            derived[metric],
            _verdict(published.get(metric), derived[metric], floor if metric == "trcost" else None),
        )
        for metric in wanted
    }


def _verdict(published: float | None, derived: float | None, floor: float | None) -> Verdict | None:
    return None if published is None or derived is None else judge_cost(published, derived, floor)


def _derived(run: Run, costs: CostTable) -> dict[Metric, float | None]:
    """``trcost``: forward costs of all networks that a training step runs, its teacher's among them."""
    deployed = cost_of(run.stage.networks[0], run.stage.data.set, costs)
    step = step_macs(run, costs)
    return {
        "params": None if deployed is None else deployed.params / 1e6,
        "tecost": None if deployed is None else forward_flops(deployed.macs) / 1e8,
        "trcost": None if step is None else forward_flops(sum(step[0]) + sum(step[1])) / 1e8,
    }


def iterations(library: Library, table: Table, row: Row) -> int:
    """Training steps of the distinct runs of a row's own stages, for as many networks as the published row trained.

    A stage with a seed of its own is one run for all of them. What another row trained does not count.
    """
    planned = plan(library, [table.name], "paper", rows=[row.name], seeds=row.seeds[: row.nets]).runs.values()
    return sum(steps_taken(run) for run in planned if run.kind == "train" and run.stage in row.stages)


def training(row: Row, run: Run, costs: CostTable) -> Training:
    """FLOPs of one seed of a row, ``run`` being its last stage; each distinct run counts once."""
    own_places = {stage.location for stage in row.stages}
    reached = {found.key: found for found in _reached(run)}
    flops = {key: training_flops(found, costs) for key, found in reached.items()}
    own = [flops[key] for key, found in reached.items() if key == run.key or found.stage.location in own_places]
    return Training(own=_sum(own), whole=_sum(list(flops.values())))


def _reached(run: Run) -> Iterator[Run]:
    """A run and all that it takes from."""
    yield run
    for source in run.sources.values():
        yield from _reached(source)


def _sum(values: Sequence[int | None]) -> int | None:
    """The sum, or None if any of the values is unknown."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None
