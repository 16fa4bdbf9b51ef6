"""Costs that follow from a recipe: a training step's, the deployed network's, and of the whole training."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from bench import registry
from bench.cost import Cost, forward_flops, step_flops_per_image
from bench.graph import Run
from bench.recipe import Library, Row, Spec, Stage
from bench.recipe.model import Metric
from bench.report.sheet import CostCell, Training
from bench.report.verdict import Verdict, judge_cost

COST_METRICS: tuple[Metric, ...] = ("params", "trcost", "tecost")


class CostTable(Protocol):
    """Where counted networks are looked up; :class:`bench.cost.Costs` is one."""

    def get(self, name: str, params: Mapping[str, Any], classes: int, channels: int, size: int) -> Cost | None:
        """The cost of a network, or None if it was not counted yet."""


def cost_cells(library: Library, row: Row, costs: CostTable, wanted: Sequence[Metric]) -> dict[Metric, CostCell]:
    """Published and derived costs of a row: params in millions, trcost and tecost in 1e8 FLOPs an image."""
    derived = _derived(library, row, costs)
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


def _derived(library: Library, row: Row, costs: CostTable) -> dict[Metric, float | None]:
    """``trcost``: forward costs of all networks that a step of the last stage runs, its teacher's among them."""
    stage = row.stages[-1]
    deployed = _count(stage.networks[0], stage, costs)
    step = [macs for part in _step(library, stage) for macs in _macs(part, costs)]
    return {
        "params": None if deployed is None else deployed.params / 1e6,
        "tecost": None if deployed is None else forward_flops(deployed.macs) / 1e8,
        "trcost": None if (total := _sum(step)) is None else forward_flops(total) / 1e8,
    }


def _step(library: Library, stage: Stage) -> list[Stage]:
    """The stages whose networks a training step runs: its own and its teacher's."""
    return [stage] if stage.teacher is None else [stage, library.stage(stage.teacher)]


def training(library: Library, row: Row, run: Run, costs: CostTable) -> Training:
    """FLOPs of one seed of a row, ``run`` being its last stage; each distinct run counts once."""
    spent: dict[str, tuple[bool, int | None]] = {}
    for key, stage in _reached(library, run, row.stages[-1]):
        own = stage in row.stages or key == run.key
        spent.setdefault(key, (own, _training_flops(library, stage, costs)))
    return Training(
        own=_sum([flops for own, flops in spent.values() if own]),
        whole=_sum([flops for _, flops in spent.values()]),
    )


def _reached(library: Library, run: Run, stage: Stage) -> Iterator[tuple[str, Stage]]:
    """Keys and recipes of a run and of all that it takes from.

    The recipe's stages are walked beside the runs, since two rows that say the same share one run.
    """
    yield run.key, stage
    for edge, ref in (("teacher", stage.teacher), ("init", stage.init)):
        if ref is not None:
            yield from _reached(library, run.sources[edge], library.stage(ref))


def _training_flops(library: Library, stage: Stage, costs: CostTable) -> int | None:
    trained, *teachers = (_known(_macs(part, costs)) for part in _step(library, stage))
    if trained is None or None in teachers:
        return None
    # A sequential update predicts every network but the last again, for those that step after it.
    refreshed = trained[:-1] if stage.update == "sequential" else []
    frozen = [macs for teacher in teachers if teacher is not None for macs in teacher]
    return _images(stage) * step_flops_per_image(trained, frozen, refreshed)


def _images(stage: Stage) -> int:
    """Images that a whole training shows, repetitions included."""
    schedule = stage.schedule
    if schedule.iterations is not None:
        return schedule.iterations * schedule.batch
    entry, part = registry.SETS[stage.data.set], stage.data.train
    if part == "all":
        size = entry.train
    elif part.per_class is not None:
        size = part.per_class * entry.classes
    else:
        size = round((part.fraction or 1) * entry.train)
    return (schedule.epochs or 0) * size


def _macs(stage: Stage, costs: CostTable) -> list[int | None]:
    counted = (_count(spec, stage, costs) for spec in stage.networks)
    return [None if cost is None else cost.macs for cost in counted]


def _count(spec: Spec, stage: Stage, costs: CostTable) -> Cost | None:
    entry = registry.SETS[stage.data.set]
    return costs.get(spec.name, spec.params, entry.classes, entry.channels, entry.size)


def _known(values: Sequence[int | None]) -> list[int] | None:
    """The values, or None if any of them is unknown."""
    known = [value for value in values if value is not None]
    return known if len(known) == len(values) else None


def _sum(values: Sequence[int | None]) -> int | None:
    known = _known(values)
    return None if known is None else sum(known)
