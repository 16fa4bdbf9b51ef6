"""What the records say of every epoch, as points over the training steps."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.cost import steps_taken
from bench.graph import Run
from bench.metrics import Metric
from bench.record import Record, test_score


@dataclass(frozen=True)
class Curve:
    """One quantity of one network after each epoch; NaN where its run diverged. ``name`` does not tell the seed."""

    name: str
    seed: int
    steps: tuple[int, ...]
    values: tuple[float, ...]


def quality_curves(run: Run, record: Record, metric: Metric) -> list[Curve]:
    """A metric of each network of a run on the test images."""

    def quality(network: Mapping[str, Any]) -> float:
        return metric.shown(test_score(network, metric.recorded.name))

    return [_curve(run, record, run.name, k, quality) for k in range(len(record.curve[0]["networks"]))]


def loss_curves(run: Run, record: Record) -> list[Curve]:
    """Each loss term of each network of a run: the mean over an epoch, weighted as it was trained."""

    def term(name: str) -> Callable[[Mapping[str, Any]], float | None]:
        return lambda network: network["loss"][name]

    return [
        _curve(run, record, f"{run.name}: {name}", k, term(name))
        for k, network in enumerate(record.curve[0]["networks"])
        for name in network["loss"]
    ]


def _curve(run: Run, record: Record, name: str, k: int, value: Callable[[Mapping[str, Any]], float | None]) -> Curve:
    values = [value(entry["networks"][k]) for entry in record.curve]
    steps = tuple(steps_taken(run, entry["epoch"]) for entry in record.curve)
    return Curve(name, run.seed, steps, tuple(float("nan") if number is None else number for number in values))
