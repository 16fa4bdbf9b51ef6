"""The sizes at which a table can be run: as published, a tenth of it, or a few steps that show that all works."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from bench import registry
from bench.recipe import Schedule, Stage, Subset

Profile = Literal["paper", "short", "smoke"]
PROFILES: tuple[Profile, ...] = ("paper", "short", "smoke")
SMOKE_IMAGES, SMOKE_TEST_IMAGES, SMOKE_BATCH, SMOKE_SEEDS = 256, 200, 32, 2
SMOKE_EPOCHS, SMOKE_ITERATIONS = 2, 4


def under(stage: Stage, profile: Profile, absent: Callable[[str], bool]) -> Stage:
    """A stage as a profile carries it out.

    ``short`` takes a tenth of the steps: of the schedule, or of the images that are synthesised; epochs over a
    transfer set are then a tenth as long already.
    """
    if profile == "paper":
        return stage
    if profile == "short":
        return _short(stage)
    return _smoke(stage, absent)


def _short(stage: Stage) -> Stage:
    if stage.synthesises:
        return _of_count(stage, stage.method.params["count"] // 10)
    if stage.transfer_set is not None and stage.schedule.epochs:
        return stage
    return replace(stage, schedule=_of_length(stage.schedule, max(1, _length(stage.schedule) // 10)))


def _smoke(stage: Stage, absent: Callable[[str], bool]) -> Stage:
    data = stage.data
    stand_in = registry.SETS[data.set].stand_in
    name = stand_in if stand_in is not None and absent(data.set) else data.set
    entry = registry.SETS[name]
    train = "all" if stage.transfer_set else _few(SMOKE_IMAGES, entry.train)
    schedule = _of_length(stage.schedule, SMOKE_EPOCHS if stage.schedule.epochs else SMOKE_ITERATIONS)
    small = replace(
        stage,
        data=replace(data, set=name, train=train, test=_few(SMOKE_TEST_IMAGES, entry.test)),
        schedule=replace(schedule, batch=min(schedule.batch, SMOKE_BATCH)),
    )
    return _of_count(small, SMOKE_IMAGES) if stage.synthesises else small


def _of_count(stage: Stage, count: int) -> Stage:
    """A stage that synthesises so many images, if it made more."""
    params = {**stage.method.params, "count": min(count, stage.method.params["count"])}
    return replace(stage, method=replace(stage.method, params=params))


def _few(count: int, of: int) -> Literal["all"] | Subset:
    return Subset(seed=0, fraction=count / of) if count < of else "all"


def _length(schedule: Schedule) -> int:
    """In the schedule's own unit, epochs or iterations."""
    return schedule.epochs or schedule.iterations or 0


def _of_length(schedule: Schedule, length: int) -> Schedule:
    """The schedule at another length in its own unit, drops in proportion."""
    moved = (drop * length // _length(schedule) for drop in schedule.drops)
    drops = tuple(sorted({drop for drop in moved if 0 < drop < length}))
    return replace(schedule, **{"epochs" if schedule.epochs else "iterations": length}, drops=drops)
