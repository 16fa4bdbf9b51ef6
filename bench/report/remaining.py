"""What of a table is done, what goes on, and how long the rest takes on this machine."""

import platform
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Literal

from bench.cost import CostTable, training_flops
from bench.graph import Graph, Run
from bench.recipe import Table
from bench.record import Record
from bench.store import Store

State = Literal["done", "diverged", "older version", "running", "begun", "missing"]
STATES: tuple[State, ...] = ("done", "diverged", "older version", "running", "begun", "missing")
TO_DO: tuple[State, ...] = ("running", "begun", "missing", "older version")
_CPU, _GPUS = Path("/proc/cpuinfo"), Path("/proc/driver/nvidia/gpus")


@dataclass(frozen=True)
class Remaining:
    """How many runs are in which state, and the seconds that those to do take here.

    ``seconds`` is of those whose rate is known from the ``rates`` records that were made here, side by side as those
    were; ``unknown`` counts the runs that are not in it.
    """

    states: dict[State, int]
    seconds: float
    rates: int
    unknown: int


@dataclass(frozen=True)
class RowRemaining:
    """How many of a row's ``planned`` seeds are in which state, and what its runs, earlier stages among them, take."""

    row: str
    planned: int
    seeds: dict[State, int]
    left: Remaining


def state_of(run: Run, store: Store) -> State:
    """How far a run is."""
    record = store.current_record(run)
    if record is not None:
        return record.status
    if store.holder(run) is not None:
        return "running"
    if store.checkpoint(run).exists():
        return "begun"
    return "missing" if store.latest_record(run) is None else "older version"


def remaining(runs: Iterable[Run], store: Store, costs: CostTable, devices: Sequence[str]) -> Remaining:
    """The states of some runs, and the time of those to do on a machine of these devices (:func:`devices_here`).

    A run takes as long as the records of its row did here, else as long as its FLOPs at the rate of records of the same
    networks on the same set; no other rate is taken for it, since small networks reach a small part of what large ones
    do.
    """
    return _remaining(runs, store, _timed(store, devices), costs)


def remaining_rows(
    table: Table, graph: Graph, store: Store, costs: CostTable, devices: Sequence[str]
) -> list[RowRemaining]:
    """How far each row of a plan is; arguments are those of :func:`remaining`."""
    timed, found = _timed(store, devices), list[RowRemaining]()
    for row in table.rows.values():
        chains = [
            _own_runs(run, f"{table.name}/{row.name}") for run in graph.rows.get((table.name, row.name), {}).values()
        ]
        states = [[state_of(run, store) for run in chain] for chain in chains]
        seeds = Counter("running" if "running" in own and own[0] in TO_DO else own[0] for own in states)
        distinct = {run.key: run for chain in chains for run in chain}
        left = _remaining(distinct.values(), store, timed, costs)
        found.append(RowRemaining(row.name, len(chains), dict(seeds), left))
    return found


def _own_runs(run: Run, row: str) -> list[Run]:
    """A run, and those of its row's earlier stages that it takes from."""
    earlier = (source for source in run.sources.values() if source.name.startswith(f"{row}."))
    return [run, *(one for source in earlier for one in _own_runs(source, row))]


def _timed(store: Store, devices: Sequence[str]) -> list[Record]:
    """The records that tell how long runs take here."""
    every = (record for records in store.by_key.values() for record in records)
    return [record for record in every if _made_on(record, devices) and not record.profile.startswith("smoke")]


def _remaining(runs: Iterable[Run], store: Store, timed: Sequence[Record], costs: CostTable) -> Remaining:
    states = dict.fromkeys(STATES, 0)
    seconds, unknown, used = 0.0, 0, set[str]()
    for run in runs:
        state = state_of(run, store)
        states[state] += 1
        if state in TO_DO:
            estimated, by = _seconds(run, timed, costs)
            used |= by
            seconds += estimated or 0.0
            unknown += estimated is None
    return Remaining({state: count for state, count in states.items() if count}, seconds, len(used), unknown)


def left(remaining: Remaining, device: str, table: str) -> str:
    """How long the rest takes on this machine, in a sentence."""
    to_do = sum(count for state, count in remaining.states.items() if state not in ("done", "diverged"))
    if not to_do:
        return "Nothing is left to run."
    ask = f"`kdbench estimate {table}` times some steps"
    if not remaining.rates:
        return f"Hours left are unknown: no run of such networks was made on {device}; {ask}."
    told = f"{_hours(remaining.seconds)} left on {device}, at the rate of {remaining.rates} runs made on it"
    if not remaining.unknown:
        return f"About {told}."
    return f"At least {told}; of {remaining.unknown} more runs that is unknown; {ask}."


def _hours(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours:.0f} hours" if hours >= 10 else f"{hours:.1f} hours" if hours >= 0.1 else f"{hours:.2g} hours"


def _seconds(run: Run, timed: Sequence[Record], costs: CostTable) -> tuple[float | None, set[str]]:
    """How long a run takes, and the records that say so."""
    same = [record for record in timed if record.recipe == run.recipe and record.profile == run.profile]
    if same:
        return fmean(_own(record) for record in same), {record.stem for record in same}
    if run.kind == "evaluate":
        return 0.0, set()
    flops = training_flops(run, costs)
    alike = [record for record in timed if record.flops and _trains_alike(record, run)]
    if flops is None or not alike:
        return None, set()
    rate = sum(record.flops or 0 for record in alike) / sum(map(_own, alike))
    return flops / rate, {record.stem for record in alike}


def _own(record: Record) -> float:
    """The seconds of the machine that a run took for itself."""
    return record.seconds / (record.side_by_side or 1)


def _trains_alike(record: Record, run: Run) -> bool:
    said = record.recipe
    return (
        all(said.get(key) == run.recipe[key] for key in ("kind", "networks"))
        and said["data"]["set"] == run.recipe["data"]["set"]
    )


def _made_on(record: Record, devices: Sequence[str]) -> bool:
    return any(record.device == device or record.device.startswith(f"{device}, ") for device in devices)


def devices_here() -> list[str]:
    """This machine's GPUs, else its processor, as records call them; without torch, from what Linux says."""
    gpus = [_field(path, "Model") for path in sorted(_GPUS.glob("*/information"))]
    return [gpu for gpu in gpus if gpu] or [_field(_CPU, "model name") or platform.machine()]


def _field(path: Path, name: str) -> str | None:
    """The first value of that name in a file of ``name : value`` lines."""
    try:
        lines = (line.partition(":") for line in path.read_text(encoding="utf-8", errors="replace").splitlines())
    except OSError:
        return None
    return next((value.strip() for key, _, value in lines if key.strip() == name), None)
