"""Multiply-adds of networks, counted with fvcore and kept in ``results/costs.json``.

The module itself needs neither torch nor fvcore, so that planning and reporting stay quick; only counting imports them.
"""

import json
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.cost import Cost
from bench.errors import CostError
from bench.files import write_atomic
from bench.networks.base import Network
from bench.quantisers import Quantiser

if TYPE_CHECKING:
    from torch import nn

_COUNTED = frozenset({"conv", "linear"})
# Operators without a multiply-add of a convolution or a linear layer. Batch normalisation is here because it folds
# into the convolution before it, and because fvcore's figure for it depends on the mode.
_FREE = (
    "aten::adaptive_avg_pool2d",
    "aten::add",
    "aten::add_",
    "aten::avg_pool2d",
    "aten::batch_norm",
    "aten::max_pool2d",
    "aten::mean",
    "aten::pad",
    "aten::sigmoid",
    "aten::tanh",
)


def count(network: Network, classes: int, channels: int, size: int) -> Cost:
    """Build a network and count it on one image (channels, size, size) in eval mode.

    Where an operator cannot be counted, a warning names it, and only the multiply-adds are unknown.

    Raises:
        CostError: fvcore is not installed.
    """
    module = network.build(classes, channels, size).eval()
    macs: int | None = None
    try:
        macs = _count_macs(network, module, (1, channels, size, size))
    except _Uncountable as reason:
        warnings.warn(f"{network.name}: its multiply-adds are unknown: {reason}", stacklevel=2)
    return Cost(macs, sum(p.numel() for p in module.parameters()))


class _Uncountable(Exception):  # noqa: N818  (what a network is)
    """Why the multiply-adds of a network cannot be counted."""


def _count_macs(network: Network, module: "nn.Module", shape: tuple[int, ...]) -> int:
    """Those of the convolutions and linear layers, and of what the network counts; any other operator must be free."""
    import torch

    with warnings.catch_warnings():
        # fvcore scripts one of its own losses on import, which torch announces as deprecated.
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.script`")
        try:
            from fvcore.nn import FlopCountAnalysis
        except ImportError:
            raise CostError("counting multiply-adds needs fvcore: run `pip install fvcore`") from None
    analysis = FlopCountAnalysis(module, torch.zeros(shape))
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    # An empty count, not None: fvcore keeps its own handle of an operator whose new handle is None.
    analysis.set_op_handle(**dict.fromkeys((*_FREE, *network.free_operators), lambda inputs, outputs: Counter()))
    own = network.operator_macs()
    analysis.set_op_handle(**own)
    try:
        counted = analysis.by_operator()
    except RuntimeError as error:
        raise _Uncountable(f"PyTorch cannot trace it ({str(error).strip().splitlines()[0]})") from None
    # fvcore counts some operators that are neither, such as matmul; its names lack the "aten::".
    known = _COUNTED | {operator.rpartition("::")[2] for operator in own}
    unknown = sorted({*counted} - known | {*analysis.unsupported_ops()})
    if unknown:
        raise _Uncountable(
            f"{', '.join(unknown)} cannot be counted; only convolutions and linear layers are, and what the network"
            " says of other operators (free_operators, operator_macs)"
        )
    return int(sum(counted.values()))


class Costs:
    """The table of counted networks, kept in a JSON file so that reports need no torch.

    Args:
        path: the file.
        entries: what it holds.
        shipped: more of them, which are looked up and never written.
    """

    def __init__(
        self, path: Path, entries: dict[str, dict[str, Any]], shipped: Mapping[str, dict[str, Any]] | None = None
    ) -> None:
        self._path, self._entries, self._shipped = path, entries, shipped or {}

    @classmethod
    def read(cls, path: Path, shipped: Path | None = None) -> "Costs":
        """The table in ``path``, empty where there is no such file, over a ``shipped`` one.

        Raises:
            CostError: one of them is not a table of costs.
        """
        return cls(path, _entries(path), _entries(shipped) if shipped else None)

    def get(self, network: Network, classes: int, channels: int, size: int) -> Cost | None:
        """The remembered cost, or None."""
        key = _key(network.name, network.params, classes, channels, size)
        entry = self._entries.get(key, self._shipped.get(key))
        return None if entry is None else Cost(**entry["cost"])

    def add(self, network: Network, classes: int, channels: int, size: int, cost: Cost) -> None:
        """Remember a cost in memory; :meth:`write` keeps it."""
        image = {"classes": classes, "channels": channels, "size": size}
        described = {"name": network.name, "params": network.params, **image}
        key = _key(network.name, network.params, classes, channels, size)
        self._entries[key] = {**self._entries.get(key, {}), "network": described, "cost": asdict(cost)}

    def get_bytes(self, network: Network, weights: Quantiser, classes: int, channels: int, size: int) -> int | None:
        """The remembered bytes of its parameters, or None."""
        key = _key(network.name, network.params, classes, channels, size)
        known = (own.get(key, {}).get("bytes", {}) for own in (self._entries, self._shipped))
        return next((own[name] for own in known if (name := _described(weights.name, weights.params)) in own), None)

    def lookup_bytes(
        self, network: Network, weights: Quantiser, classes: int, channels: int, size: int, *, recount: bool = False
    ) -> int:
        """The remembered bytes, else count them (seconds, and torch) and remember them in memory."""
        image = classes, channels, size
        known = None if recount else self.get_bytes(network, weights, *image)
        if known is None:
            self.add(network, *image, self.lookup(network, *image))
            known = weights.num_bytes(dict(network.build(*image).named_parameters()))
            entry = self._entries[_key(network.name, network.params, *image)]
            entry["bytes"] = {**entry.get("bytes", {}), _described(weights.name, weights.params): known}
        return known

    def lookup(self, network: Network, classes: int, channels: int, size: int, *, recount: bool = False) -> Cost:
        """The remembered cost, else count it (seconds, and torch) and remember it in memory.

        What could not be counted is tried again, since the network may say more of its operators by now.
        """
        cost = None if recount else self.get(network, classes, channels, size)
        if cost is None or cost.macs is None:
            cost = count(network, classes, channels, size)
            self.add(network, classes, channels, size, cost)
        return cost

    def write(self) -> None:
        """Write the file anew, whole or not at all; none where nothing of its own was counted."""
        if self._entries:
            write_atomic(self._path, (json.dumps(self._entries, indent=2, sort_keys=True) + "\n").encode())


def _entries(path: Path) -> dict[str, dict[str, Any]]:
    try:
        entries: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        for key, entry in entries.items():
            Cost(**entry["cost"])
            if _key(**entry["network"]) != key:
                raise ValueError(f"{key!r} describes another network")
            if not all(isinstance(count, int) for count in entry.get("bytes", {}).values()):
                raise ValueError(f"{key!r} has bytes that are no whole number")
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise CostError(f"{path}: not a table of costs ({error}); delete it, it is counted again") from None
    return entries


def _key(name: str, params: Mapping[str, Any], classes: int, channels: int, size: int) -> str:
    """For example ``resnet(block=basic, depth=32, shortcut=B, width=1.0) 100 classes 3x32x32``."""
    return f"{_described(name, params)} {classes} classes {channels}x{size}x{size}"


def _described(name: str, params: Mapping[str, Any]) -> str:
    return f"{name}({', '.join(f'{key}={params[key]}' for key in sorted(params))})"
