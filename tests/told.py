"""The one fake of a run's progress."""

from collections.abc import Callable
from typing import Any


class Told:
    """Remembers what it was told; may call a function with each epoch's line of the curve."""

    def __init__(self, after: Callable[[Any], object] = lambda entry: None) -> None:
        self.after = after
        self.steps: list[tuple[int, int, int]] = []
        self.epochs: list[tuple[int, int]] = []
        self.warnings: list[str] = []

    def step(self, epoch: int, step: int, steps: int) -> None:
        self.steps.append((epoch, step, steps))

    def epoch(self, entry: Any, epochs: int, images_per_second: float, seconds_left: float) -> None:
        self.epochs.append((entry["epoch"], epochs))
        self.after(entry)

    def warn(self, message: str) -> None:
        self.warnings.append(message)
