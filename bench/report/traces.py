"""What the records say of every epoch, as points over the training steps."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.cost import steps_taken
from bench.graph import Run
from bench.recipe.model import Quality
from bench.store import Record


@dataclass(frozen=True)
class Trace:
    """One quantity of one network after each epoch; NaN where its run diverged. ``name`` does not tell the seed."""

    name: str
    seed: int
    steps: tuple[int, ...]
    values: tuple[float, ...]


def quality_traces(run: Run, record: Record, metric: Quality) -> list[Trace]:
    """The test error or accuracy (%) of each network of a run."""

    def shown(network: Mapping[str, Any]) -> float:
        error: float = network["test_error"]
        return error if metric == "error" else 100 - error

    return [_trace(run, record, run.name, k, shown) for k in range(len(record.curve[0]["networks"]))]


def loss_traces(run: Run, record: Record) -> list[Trace]:
    """Each loss term of each network of a run: the mean over an epoch, weighted as it was trained."""

    def term(name: str) -> Callable[[Mapping[str, Any]], float | None]:
        return lambda network: network["loss"][name]

    return [
        _trace(run, record, f"{run.name}: {name}", k, term(name))
        for k, network in enumerate(record.curve[0]["networks"])
        for name in network["loss"]
    ]


def _trace(run: Run, record: Record, name: str, k: int, value: Callable[[Mapping[str, Any]], float | None]) -> Trace:
    found = [value(entry["networks"][k]) for entry in record.curve]
    steps = tuple(steps_taken(run, entry["epoch"]) for entry in record.curve)
    return Trace(name, run.seed, steps, tuple(float("nan") if number is None else number for number in found))
