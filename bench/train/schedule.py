"""When the learning rate drops."""

import numpy as np
from numpy.typing import NDArray

from bench.recipe import Schedule


def total_steps(schedule: Schedule, per_epoch: int) -> int:
    """The number of optimiser steps of a run, for so many steps an epoch."""
    return schedule.iterations or (schedule.epochs or 0) * per_epoch


def rates(schedule: Schedule, per_epoch: int) -> NDArray[np.float64]:
    """The learning rate of every step, (steps,): ``lr``, times ``gamma`` from each drop on."""
    unit = 1 if schedule.iterations else per_epoch
    steps = np.arange(total_steps(schedule, per_epoch))
    passed = np.searchsorted(np.array(schedule.drops, dtype=np.int64) * unit, steps, side="right")
    return schedule.lr * schedule.gamma ** passed.astype(np.float64)
