"""When the learning rate drops."""

import numpy as np
from numpy.typing import NDArray

from bench.recipe import Schedule


def rates(schedule: Schedule, per_epoch: int) -> NDArray[np.float64]:
    """The learning rate of every step, (steps,): ``lr``, times ``gamma`` from each drop on."""
    unit = 1 if schedule.iterations else per_epoch
    steps = np.arange(schedule.steps(per_epoch))
    passed = np.searchsorted(np.array(schedule.drops, dtype=np.int64) * unit, steps, side="right")
    return schedule.lr * schedule.gamma ** passed.astype(np.float64)
