"""Work that is done in turns, so that several runs go on side by side in one process.

A turn launches one training step; the host takes the next run's turn while the device is at work.
"""

import warnings
from collections.abc import Callable, Generator
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


def heard(work: Turns[T], hear: Callable[[str], None]) -> Turns[T]:
    """The same turns; ``hear`` is told whatever each of them warns of, and nobody else."""
    while True:
        with warnings.catch_warnings(record=True) as caught:
            try:
                next(work)
            except StopIteration as end:
                result: T = end.value
                return result
            finally:
                for warning in caught:
                    hear(str(warning.message))
        yield
