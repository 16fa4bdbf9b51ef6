"""What an epoch adds up: scalars and arrays by name, in float64, read once at its end."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.train import device as devices

# Numbers, 256 KiB of them.
LOGITS_KEPT = 2**16


class Sums(ABC):
    """Sums by name, each of values of one shape. Both kinds give the same bits."""

    @abstractmethod
    def add(self, name: str, value: Tensor, times: int = 1) -> None:
        """Add a value so many times; the first one makes the sum."""

    @abstractmethod
    def hits(self, name: str, logits: Tensor, labels: Tensor) -> None:
        """Add how many of some labels (N,) have the largest of their logits (N, C)."""

    @abstractmethod
    def zero(self) -> None:
        """Begin again."""

    @abstractmethod
    def restore(self, values: Mapping[str, Any]) -> None:
        """Go on from what was read before, as lists where it is no scalar; all sums are zero."""

    @abstractmethod
    def read(self) -> dict[str, NDArray[np.float64]]:
        """All of them."""

    @property
    @abstractmethod
    def tensors(self) -> Iterable[Tensor]:
        """Those that lie on the device, and are added to in place."""


class DeviceSums(Sums):
    """On the device, which is never waited for; a captured graph can add to them."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.totals: dict[str, Tensor] = {}

    def add(self, name: str, value: Tensor, times: int = 1) -> None:
        """Add in place."""
        total = self.totals.get(name)
        if total is None:
            total = self.totals[name] = torch.zeros(value.shape, dtype=torch.float64, device=self.device)
        total.add_(value.detach(), alpha=times)

    def hits(self, name: str, logits: Tensor, labels: Tensor) -> None:
        """Add in place."""
        self.add(name, _hits(logits, labels))

    def zero(self) -> None:
        """In place."""
        for total in self.totals.values():
            total.zero_()

    def restore(self, values: Mapping[str, Any]) -> None:
        """Add what was read."""
        for name, value in values.items():
            self.add(name, torch.tensor(value, dtype=torch.float64, device=self.device))

    def read(self) -> dict[str, NDArray[np.float64]]:
        """All of them, in one copy to the host: it waits for the device."""
        shapes = {name: total.shape for name, total in self.totals.items()}
        flat = torch.cat([total.reshape(-1) for total in self.totals.values()]).cpu()
        each = torch.split(flat, [shape.numel() for shape in shapes.values()])
        return {name: own.reshape(shapes[name]).numpy() for name, own in zip(shapes, each, strict=True)}

    @property
    def tensors(self) -> Iterable[Tensor]:
        """All."""
        return self.totals.values()


class HostSums(Sums):
    """On the host, where the device is the host: there a number is read sooner than added to a tensor.

    Small logits are kept, and looked at several batches at once: for them an operation takes as long as for many.
    """

    def __init__(self) -> None:
        self.totals: dict[str, Any] = {}  # float, or a float64 array
        self.kept: dict[str, list[tuple[Tensor, Tensor]]] = {}  # logits and labels, by name

    def add(self, name: str, value: Tensor, times: int = 1) -> None:
        """Read the value."""
        number = value.item() if value.dim() == 0 else value.detach().double().numpy()
        self.totals[name] = self.totals.get(name, 0.0) + number * times

    def hits(self, name: str, logits: Tensor, labels: Tensor) -> None:
        """Keep them, until they are enough."""
        kept = self.kept.setdefault(name, [])
        kept.append((logits.detach(), labels))
        if len(kept) * logits.numel() >= LOGITS_KEPT:
            self._count(name)

    def zero(self) -> None:
        """Keep the names and their order."""
        self.kept = {}
        self.totals = dict.fromkeys(self.totals, 0.0)

    def restore(self, values: Mapping[str, Any]) -> None:
        """Take what was read."""
        self.totals |= {name: np.asarray(value, dtype=np.float64) for name, value in values.items()}

    def read(self) -> dict[str, NDArray[np.float64]]:
        """With what was kept."""
        for name in [*self.kept]:
            self._count(name)
        return {name: np.asarray(total, dtype=np.float64) for name, total in self.totals.items()}

    def _count(self, name: str) -> None:
        logits, labels = zip(*self.kept.pop(name), strict=True)
        self.add(name, _hits(torch.cat(logits), torch.cat(labels)))

    @property
    def tensors(self) -> Iterable[Tensor]:
        """None."""
        return ()


def _hits(logits: Tensor, labels: Tensor) -> Tensor:
    return (logits.argmax(1) == labels).sum()


def make_sums(device: torch.device) -> Sums:
    """Those that suit a device."""
    return HostSums() if devices.is_host(device) else DeviceSums(device)
