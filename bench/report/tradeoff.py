"""Accuracy against cost, and the rows that no other one beats in both."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bench.cost import CostTable, cost_of, forward_flops
from bench.metrics import Metric
from bench.recipe import Stage, Table
from bench.report.model import Report, ReportRow

Kind = Literal["training", "inference"]
Series = Literal["ours", "published"]
KINDS: dict[Kind, str] = {
    "training": "FLOPs of training one seed, its teachers' training included",
    "inference": "FLOPs of one test image",
}


@dataclass(frozen=True)
class CostPoint:
    """A row's value of the metric at a cost (FLOPs, derived), among the rows that are tested on the same images.

    ``best``: no other row of its ``series`` and ``setting`` is as good at a lower cost, or better at the same.
    """

    row: str
    label: str
    group: str
    setting: str
    kind: Kind
    series: Series
    cost: int
    quality: float
    best: bool = False


def tradeoff(report: Report, table: Table, costs: CostTable) -> tuple[CostPoint, ...]:
    """A point for each row, kind of cost and series whose numbers are known, in the table's order.

    Ours is the mean at the first protocol of a row, the last epoch where both are shown.
    """
    points = [point for line in report.lines for point in _points(line, table, costs)]
    alike: dict[tuple[str, Kind, Series], list[CostPoint]] = {}
    for point in points:
        alike.setdefault((point.setting, point.kind, point.series), []).append(point)
    return tuple(point for same in alike.values() for point in marked(same, table.metric))


def marked(points: Sequence[CostPoint], metric: Metric) -> list[CostPoint]:
    """The points with their Pareto front marked: less cost and, as the metric goes, a lower or a higher value."""
    places = [(point.cost, metric.burden(point.quality)) for point in points]
    best = [not any(_beats(other, place) for other in places) for place in places]
    return [replace(point, best=mark) for point, mark in zip(points, best, strict=True)]


def _beats(one: tuple[int, float], other: tuple[int, float]) -> bool:
    return one != other and one[0] <= other[0] and one[1] <= other[1]


def _points(line: ReportRow, table: Table, costs: CostTable) -> Iterable[CostPoint]:
    if not table.rows[line.name].stages:
        return
    stage = table.rows[line.name].stages[-1]
    deployed = cost_of(stage.networks[0], stage.data.set, costs)
    known: dict[Kind, int | None] = {
        "training": line.training.whole,
        "inference": None if deployed is None or deployed.macs is None else forward_flops(deployed.macs),
    }
    ours = next((measured.mean for measured in line.measured), None)
    qualities: dict[Series, float | None] = {
        "ours": ours,
        "published": line.published.value if line.published else None,
    }
    for kind, cost in known.items():
        for series, quality in qualities.items():
            if cost is not None and quality is not None:
                yield CostPoint(line.name, line.label, line.group, _setting(stage), kind, series, cost, quality)


def _setting(stage: Stage) -> str:
    return stage.data.set if stage.data.test == "all" else f"{stage.data.set}, a part of its test images"
