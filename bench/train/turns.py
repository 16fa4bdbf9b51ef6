"""Work that is done in turns, so that several runs go on side by side in one process.

A turn launches one training step; the host takes the next run's turn while the device is at work.
"""

import warnings
from collections.abc import Generator
from typing import TypeAlias, TypeVar

T = TypeVar("T")
Turns: TypeAlias = Generator[None, None, T]


def to_the_end(work: Turns[T]) -> T:
    """Take all turns; what the work gives in the end."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: T = end.value
            return result


def heard(work: Turns[T], told: set[str]) -> Turns[T]:
    """The same turns; what each of them warns of goes into ``told``, and nowhere else."""
    while True:
        with warnings.catch_warnings(record=True) as caught:
            try:
                next(work)
            except StopIteration as end:
                result: T = end.value
                return result
            finally:
                told.update(str(warning.message) for warning in caught)
        yield
