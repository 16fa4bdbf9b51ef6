"""What training tells the outside while it goes on; imports no torch."""

from typing import Any, Protocol


class Progress(Protocol):
    """What a person sees of a run; called on the host, which is ahead of the device within an epoch."""

    def step(self, epoch: int, step: int, steps: int) -> None:
        """Step ``step`` of ``steps`` of an epoch (counted from 1) was launched."""

    def epoch(self, entry: dict[str, Any], epochs: int, images_per_second: float, seconds_left: float) -> None:
        """An epoch is done; ``entry`` is its line of the curve."""

    def warn(self, message: str) -> None:
        """Something is not as it should be, and the run goes on; said once."""


class Unwatched:
    """Progress that nobody looks at."""

    def step(self, epoch: int, step: int, steps: int) -> None:
        """Say nothing."""

    def epoch(self, entry: dict[str, Any], epochs: int, images_per_second: float, seconds_left: float) -> None:
        """Say nothing."""

    def warn(self, message: str) -> None:
        """Say nothing."""


class Stopped(Exception):  # noqa: N818  (not an error: the run goes on from its checkpoint)
    """Time is up before the run was finished; its checkpoint is written."""
