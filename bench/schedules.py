"""The learning rate of every step: a schedule's length and rate, how it warms up, and how it decays."""

import math
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from bench.component import ALWAYS_IN_KEY, NEVER_IN_KEY, Component, identity, identity_of_fields
from bench.errors import RecipeError
from bench.schema import LARGEST, NonNegativeInt, Positive, PositiveInt, Share

# The rate of every step is worked out before the first one: of a hundred million, which at a thousand steps a second
# are more than a day, they are 800 MB. An epoch has a step at least; a million images fit no step.
MOST_STEPS, MOST_EPOCHS, LARGEST_BATCH = 100_000_000, 1_000_000, 1_000_000


@dataclass(frozen=True)
class Decay(Component):
    """How the rate falls from its initial value; lengths are in the schedule's own unit, epochs or iterations.

    The parameters of a ``flat`` one stand beside the schedule's own, in a recipe and in a key.
    """

    flat: ClassVar[bool] = False

    def factors(self, steps: NDArray[np.int64], unit: int, warm: int, total: int) -> NDArray[np.float64]:
        """What the initial rate is multiplied by at each of some steps.

        Args:
            steps: (S,) numbers of optimiser steps, from 0.
            unit: optimiser steps in the schedule's unit: those of an epoch, or 1.
            warm: optimiser steps of the warm-up, which is multiplied in by the schedule.
            total: optimiser steps of the whole schedule.
        """
        raise NotImplementedError

    def check_length(self, length: int) -> None:
        """Refuse a schedule of another length than this decay can have (RecipeError)."""

    def resized(self, length: int, new: int) -> Self:
        """The same in proportion, for a schedule of ``new`` instead of ``length``."""
        return self


@dataclass(frozen=True)
class Steps(Decay):
    """The rate is multiplied by ``gamma`` at each of ``drops``."""

    drops: tuple[PositiveInt, ...]
    gamma: Positive

    name: ClassVar[str] = "steps"
    flat: ClassVar[bool] = True

    def factors(self, steps: NDArray[np.int64], unit: int, warm: int, total: int) -> NDArray[np.float64]:
        """γ to the number of drops that a step has passed."""
        passed = np.searchsorted(np.array(self.drops, dtype=np.int64) * unit, steps, side="right")
        factors: NDArray[np.float64] = self.gamma ** passed.astype(np.float64)
        return factors

    def check_length(self, length: int) -> None:
        """Drops rise and lie within the schedule."""
        if list(self.drops) != sorted(set(self.drops)) or (self.drops and self.drops[-1] >= length):
            raise RecipeError(f"drops: must rise and stay below the length, {length}")

    def check_rise(self, lr: float) -> None:
        """Where a gamma above 1 lets the rate rise, float32 still holds it in the end."""
        if math.log10(lr) + len(self.drops) * math.log10(self.gamma) > math.log10(LARGEST):
            raise RecipeError(f"gamma: {len(self.drops)} drops by {self.gamma:g} take the rate above {LARGEST:g}")

    def resized(self, length: int, new: int) -> Self:
        """Drops in proportion; those that meet another one, or an end, are gone."""
        moved = (drop * new // length for drop in self.drops)
        return replace(self, drops=tuple(sorted({drop for drop in moved if 0 < drop < new})))


@dataclass(frozen=True)
class Constant(Decay):
    """The rate stays as it is."""

    name: ClassVar[str] = "constant"

    def factors(self, steps: NDArray[np.int64], unit: int, warm: int, total: int) -> NDArray[np.float64]:
        """Ones."""
        return np.ones(len(steps))


@dataclass(frozen=True)
class Cosine(Decay):
    """Half a cosine from the end of the warm-up to the end, down to the share ``final`` of the rate.

    Loshchilov and Hutter, arXiv 1608.03983, eq. 5, without restarts.
    """

    final: Share = 0.0

    name: ClassVar[str] = "cosine"

    def factors(self, steps: NDArray[np.int64], unit: int, warm: int, total: int) -> NDArray[np.float64]:
        """From 1 at the first step after the warm-up towards ``final`` after the last."""
        share = np.clip((steps - warm) / max(1, total - warm), 0.0, 1.0)
        factors: NDArray[np.float64] = self.final + (1 - self.final) * (1 + np.cos(np.pi * share)) / 2
        return factors


@dataclass(frozen=True)
class Schedule:
    """Length in epochs or iterations, one of the two; the initial rate ``lr``; ``decay`` and ``warmup``.

    Over the first ``warmup`` epochs or iterations the rate rises linearly (Goyal et al., arXiv 1706.02677, 2.2).
    """

    batch: PositiveInt
    lr: Positive
    decay: Decay = field(metadata=NEVER_IN_KEY)
    epochs: PositiveInt | None = field(default=None, metadata=ALWAYS_IN_KEY)
    iterations: PositiveInt | None = field(default=None, metadata=ALWAYS_IN_KEY)
    warmup: NonNegativeInt = 0

    @property
    def length(self) -> int:
        """In its own unit."""
        return self.epochs or self.iterations or 0

    @property
    def identity(self) -> dict[str, Any]:
        """What a key has of it; the decay's parameters stand among the others where the decay is flat."""
        decay = identity(self.decay.params) if self.decay.flat else {"decay": self.decay.identity}
        return {**identity_of_fields(self), **decay}

    def check(self) -> None:
        """One length, and a decay and a warm-up that fit it (RecipeError)."""
        if (self.epochs is None) == (self.iterations is None):
            raise RecipeError("give epochs or iterations, one of the two")
        if self.length > (limit := MOST_EPOCHS if self.epochs else MOST_STEPS):
            raise RecipeError(f"{'epochs' if self.epochs else 'iterations'}: at most {limit:,}, got {self.length}")
        if self.batch > LARGEST_BATCH:
            raise RecipeError(f"batch: at most {LARGEST_BATCH:,}, got {self.batch}")
        if self.warmup >= self.length:
            raise RecipeError(f"warmup: must stay below the length, {self.length}")
        self.decay.check_length(self.length)
        if isinstance(self.decay, Steps):
            self.decay.check_rise(self.lr)

    def steps(self, per_epoch: int) -> int:
        """The number of optimiser steps of a run, for so many steps an epoch."""
        return self.iterations or (self.epochs or 0) * per_epoch

    def num_epochs(self, per_epoch: int) -> int:
        """The number of epochs of a run, the last of which may be cut short."""
        return -(-self.steps(per_epoch) // per_epoch)

    def rates(self, per_epoch: int) -> NDArray[np.float64]:
        """The learning rate of every step, (steps,)."""
        unit, total = (1 if self.iterations else per_epoch), self.steps(per_epoch)
        warm, steps = self.warmup * unit, np.arange(total)
        rates: NDArray[np.float64] = self.lr * self.decay.factors(steps, unit, warm, total)
        return rates * np.minimum(1.0, (steps + 1) / warm) if warm else rates

    def resized(self, length: int) -> "Schedule":
        """At another length in its own unit; drops and warm-up in proportion."""
        unit = "epochs" if self.epochs else "iterations"
        decay, warmup = self.decay.resized(self.length, length), self.warmup * length // self.length
        return replace(self, **{unit: length}, decay=decay, warmup=warmup)
