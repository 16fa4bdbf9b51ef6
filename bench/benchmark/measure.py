"""Time contenders in turns, so that what else the machine does falls on all of them alike."""

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from bench.benchmark.contenders import CACHED, FILLING, Steps
from bench.train.teacher_cache import expected_miss_rate

Times = dict[str, list[float]]
"""Milliseconds a step of every contender, one value a round."""

RUNS = {f"{CACHED}-300x5": 300 * 5, f"{CACHED}-30x1": 30}
"""Contenders that are worked out: epochs of all seeds that share a cache."""


@dataclass(frozen=True)
class Budget:
    """How many rounds, and how long a turn in each: about so many ``seconds``, or just two steps where it is None.

    After the first one, a round that would end ``until`` (of the monotonic clock) or later is not begun.
    """

    rounds: int
    seconds: float | None
    until: float = math.inf


def measure(
    contenders: dict[str, Steps], budget: Budget, most: int, device: torch.device, say: Callable[[str], None]
) -> Times:
    """Warm every contender up, then give each a turn a round.

    Args:
        contenders: by name.
        budget: rounds and turns.
        most: steps that a turn may have at most.
        device: waited for before and after each turn.
        say: told how it goes.
    """
    counts = {}
    for name, steps in contenders.items():
        say(f"warming up {name} ...")
        counts[name] = _turn_length(steps, budget.seconds, most, device)
    times: Times = {name: [] for name in contenders}
    longest = -math.inf
    for number in range(budget.rounds):
        begun = time.monotonic()
        if begun + longest > budget.until:
            say(f"{number} of {budget.rounds} rounds, for lack of time")
            break
        # Every other round backwards: what follows what does not matter then, nor does a slow drift.
        for name in list(contenders)[:: -1 if number % 2 else 1]:
            count = counts[name]
            # A lead-in, not timed: it uses up what workers prepared while others had their turn.
            seconds(contenders[name], max(1, count // 5), device)
            times[name].append(1000 * seconds(contenders[name], count, device) / count)
        say(f"round {number + 1}/{budget.rounds}  " + "  ".join(f"{name} {own[-1]:.2f}" for name, own in times.items()))
        longest = max(longest, time.monotonic() - begun)
    return times


def _turn_length(steps: Steps, asked: float | None, most: int, device: torch.device) -> int:
    """Steps that take about so many seconds, found by doubling; the first steps are slow, and are left out."""
    seconds(steps, 2, device)
    if asked is None:
        return 2
    count, took = 1, seconds(steps, 1, device)
    while took < asked / 4 and 2 * count <= most:
        count *= 2
        took = seconds(steps, count, device)
    return min(most, max(2, round(count * asked / took)))


def seconds(steps: Steps, count: int, device: torch.device) -> float:
    """How long so many steps take, from a device with nothing to do until it has done them."""
    _wait(device)
    begun = time.perf_counter()
    steps(count)
    _wait(device)
    return time.perf_counter() - begun


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@dataclass(frozen=True)
class Spread:
    """Median and range over the rounds."""

    median: float
    min: float
    max: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        """Of one value a round."""
        return cls(statistics.median(values), min(values), max(values))


def with_filling(times: Times, views: int) -> Times:
    """Add what a step takes with its part of the cache's filling, where a cached step and the filling were timed.

    Both parts are measured, their sum is worked out round by round: over whole runs, the teacher must still be asked
    of a share of the images, which depends on how many epochs (of all seeds together) draw from so many ``views``.
    """
    if FILLING not in times:
        return times
    parts = [*zip(times[CACHED], times[FILLING], strict=True)]
    shares = {name: expected_miss_rate(epochs, views) for name, epochs in RUNS.items()}
    return times | {name: [step + share * batch for step, batch in parts] for name, share in shares.items()}


def ratio(times: Times, slow: str, fast: str) -> Spread:
    """How many times faster ``fast`` is than ``slow``: round by round, since both had the same machine only there."""
    return Spread.of([a / b for a, b in zip(times[slow], times[fast], strict=True)])


def overhead_percent(times: Times) -> float:
    """What kdbench takes longer than a bare loop with the same settings."""
    return 100 * (ratio(times, "kdbench", "bare-same-settings").median - 1)


def results(workload: str, times: Times) -> list[dict[str, Any]]:
    """One entry a contender, for the JSON file."""
    return [
        {
            "workload": workload,
            "contender": name,
            "ms_per_step": vars(Spread.of(own)),
            "speedup_over_classic": ratio(times, "classic", name).median,
            "speedup_over_bare": ratio(times, "bare", name).median,
        }
        for name, own in times.items()
        if name != FILLING
    ]
