"""How long a table takes on several GPUs, by simulation: a run begins when its sources are done and a GPU is free."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from bench.graph import Run, followers


@dataclass(frozen=True)
class Makespan:
    """Seconds from the first run's begin to the last one's end on ``gpus`` GPUs, and the share that those are busy."""

    gpus: int
    seconds: float
    busy: float


def makespan(runs: Sequence[Run], seconds: Mapping[str, float], gpus: int) -> Makespan:
    """List scheduling, as :func:`bench.run.walk` does it: of what is ready, what comes first in the list begins first.

    It takes at most ``2 - 1/gpus`` times as long as any other order would (R. L. Graham, Bounds for Certain
    Multiprocessing Anomalies, 1966).

    Args:
        runs: in order; a source that is not among them is done.
        seconds: of each, by key.
        gpus: how many runs go on at a time.
    """
    number = {run.key: i for i, run in enumerate(runs)}
    lacks = {run.key: {s.key for s in run.sources.values() if s.key in number} for run in runs}
    waiting = followers(lacks)
    ready = [number[key] for key, lacking in lacks.items() if not lacking]
    heapify(ready)
    going: list[tuple[float, int]] = []
    now = 0.0
    while ready or going:
        while ready and len(going) < gpus:
            first = heappop(ready)
            heappush(going, (now + seconds[runs[first].key], first))
        now, ended = heappop(going)
        for key in waiting.get(runs[ended].key, ()):
            lacks[key].discard(runs[ended].key)
            if not lacks[key]:
                heappush(ready, number[key])
    work = sum(seconds[run.key] for run in runs)
    return Makespan(gpus, now, work / (now * gpus) if now else 0.0)


def critical_path(runs: Sequence[Run], seconds: Mapping[str, float]) -> list[Run]:
    """The chain of runs, each a source of the next, that takes longest: no number of GPUs makes it shorter.

    Args:
        runs: sources before what takes from them.
        seconds: of each, by key.
    """
    ends: dict[str, float] = {}
    before: dict[str, Run | None] = {}
    for run in runs:
        sources = [source for source in run.sources.values() if source.key in ends]
        last = max(sources, key=lambda source: ends[source.key], default=None)
        before[run.key], ends[run.key] = last, seconds[run.key] + (ends[last.key] if last else 0.0)
    path: list[Run] = []
    step = max(runs, key=lambda run: ends[run.key], default=None)
    while step is not None:
        path.append(step)
        step = before[step.key]
    return path[::-1]
