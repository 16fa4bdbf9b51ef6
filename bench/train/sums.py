"""What an epoch adds up on the device, read once; the line of the curve that it makes; and the curve's results."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from bench.store import Result


class Sums:
    """Sums in float64, by name; a name of a network begins with its number and a point."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.totals: dict[str, Tensor] = {}

    def add(self, name: str, value: Tensor) -> None:
        """Add a scalar; the first one makes the sum."""
        if name not in self.totals:
            self.totals[name] = torch.zeros((), dtype=torch.float64, device=self.device)
        self.totals[name] += value

    def zero(self) -> None:
        """Begin again."""
        for total in self.totals.values():
            total.zero_()

    def read(self) -> dict[str, float]:
        """All of them, in one copy to the host: it waits for the device."""
        return dict(zip(self.totals, torch.stack([*self.totals.values()]).tolist(), strict=True))


def network_entries(sums: dict[str, float], networks: int, shown: int, tested: int) -> list[dict[str, Any]]:
    """What a line of the curve says of each network: means of its loss's terms, and errors (%).

    Args:
        sums: of ``hits`` among the ``shown`` training images, of right answers to the ``tested`` ones (``test``), and,
            by any other name, of a term of the loss.
        networks: how many there are.
        shown: training images of the epoch.
        tested: test images.
    """
    entries = []
    for k in range(networks):
        own = {name.removeprefix(f"{k}."): value for name, value in sums.items() if name.startswith(f"{k}.")}
        hits, test = own.pop("hits"), own.pop("test")
        entries.append(
            {
                "loss": {name: _finite(value / shown) for name, value in own.items()},
                "train_error": round(100 - 100 * hits / shown, 4),
                "test_error": round(100 - 100 * test / tested, 4),
            }
        )
    return entries


def _finite(value: float) -> float | None:
    """Rounded; None for NaN and infinity, which JSON does not know."""
    return round(value, 6) if math.isfinite(value) else None


def diverged(entries: Sequence[dict[str, Any]]) -> bool:
    """Whether a loss of an epoch is no number."""
    return any(value is None for network in entries for value in network["loss"].values())


def results(curve: Sequence[dict[str, Any]], status: str) -> list[Result]:
    """Last and best test error of each network; a diverged run has none."""
    found = []
    for k in range(len(curve[-1]["networks"])):
        errors = [entry["networks"][k]["test_error"] for entry in curve]
        best, done = min(errors), status == "done"
        found.append(Result(errors[-1], best, errors.index(best) + 1) if done else Result(None, None, None))
    return found
