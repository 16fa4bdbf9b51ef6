"""The sizes at which a table can be run: as published, a tenth of it, or a few steps that show that all works."""

from dataclasses import replace
from typing import Literal

from bench import registry
from bench.methods.base import Synthesiser
from bench.recipe import Stage, Subset

Profile = Literal["paper", "short", "smoke", "smoke-real"]
PROFILES: tuple[Profile, ...] = ("paper", "short", "smoke", "smoke-real")
SMOKE_IMAGES, SMOKE_TEST_IMAGES, SMOKE_BATCH, SMOKE_SEEDS = 256, 200, 32, 2
SMOKE_EPOCHS, SMOKE_ITERATIONS, SMOKE_HELD_OUT = 2, 4, 0.25


def apply_profile(stage: Stage, profile: Profile) -> Stage:
    """A stage as a profile carries it out.

    ``short`` takes a tenth of the steps: of the schedule, or of the images that are synthesised; epochs over a
    transfer set are then a tenth as long already. ``smoke`` takes a few steps on the set's synthetic stand-in, so that
    no data are needed; ``smoke-real`` takes as few on the set itself.
    """
    if profile == "paper":
        return stage
    if profile == "short":
        return _short(stage)
    return _smoke(stage, real=profile == "smoke-real")


def _short(stage: Stage) -> Stage:
    if isinstance(stage.method, Synthesiser):
        return _of_count(stage, stage.method, max(1, stage.method.count // 10))
    if stage.transfer_set is not None and stage.schedule.epochs:
        return stage
    return replace(stage, schedule=stage.schedule.resized(max(1, stage.schedule.length // 10)))


def _smoke(stage: Stage, *, real: bool) -> Stage:
    data = stage.data
    name = data.set if real else registry.SETS[data.set].stand_in or data.set
    entry = registry.SETS[name]
    train = "all" if stage.transfer_set else _few(SMOKE_IMAGES, entry.train)
    held_out = Subset(seed=0, fraction=SMOKE_HELD_OUT) if data.validation else None
    schedule = stage.schedule.resized(SMOKE_EPOCHS if stage.schedule.epochs else SMOKE_ITERATIONS)
    small = replace(
        stage,
        data=replace(data, set=name, train=train, test=_few(SMOKE_TEST_IMAGES, entry.test), validation=held_out),
        schedule=replace(schedule, batch=min(schedule.batch, SMOKE_BATCH)),
    )
    return _of_count(small, stage.method, SMOKE_IMAGES) if isinstance(stage.method, Synthesiser) else small


def _of_count(stage: Stage, method: Synthesiser, count: int) -> Stage:
    """A stage that synthesises so many images, if it made more."""
    return replace(stage, method=replace(method, count=min(count, method.count)))


def _few(count: int, of: int) -> Literal["all"] | Subset:
    return Subset(seed=0, fraction=count / of) if count < of else "all"
