"""What networks, training steps and whole rows cost: parameters, multiply-adds, FLOPs and iterations.

Networks are counted with fvcore and kept in ``results/costs.json``. Only convolutions and linear layers count, as in
the published tables (He et al., CVPR 2016; Lan et al., NeurIPS 2018): one multiply-add is one MAC and two FLOPs. The
module itself needs neither torch nor fvcore, so that planning and reporting stay quick; only counting imports them.
"""

import json
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from bench.errors import CostError
from bench.files import write_atomic
from bench.graph import Run, plan, with_sources
from bench.methods.base import Synthesiser
from bench.networks.base import Network
from bench.quantisers import FULL, Quantiser
from bench.recipe import Library, Row, Table
from bench.registry import SETS

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


@dataclass(frozen=True)
class Cost:
    """What one network costs.

    Args:
        macs: multiply-adds of one forward pass of one image; None where an operator of it cannot be counted.
        params: trained parameters, biases included.
    """

    macs: int | None
    params: int


def forward_flops(macs: int) -> int:
    """FLOPs of one forward pass of one image: a multiply-add is two."""
    return 2 * macs


def step_flops_per_image(trained: Sequence[int], frozen: Sequence[int], refreshed: Sequence[int]) -> int:
    """FLOPs that a training step spends on each image of its batch; every argument is a list of MACs, one a network.

    ``trained`` networks run forward and backward, the backward pass being two forward ones (the gradients of the
    inputs and of the weights); ``frozen`` teachers run forward; ``refreshed`` are the networks that a sequential
    update predicts again, one more forward pass each. The input gradient of the first layer, which nobody needs, is
    not subtracted; the optimiser and evaluation are not counted.
    """
    return forward_flops(3 * sum(trained) + sum(frozen) + sum(refreshed))


def images_of(run: Run, split: Literal["train", "test"]) -> int:
    """How many images of its set, or of its transfer set, a run trains on or is tested on."""
    if split == "train" and "transfer_set" in run.sources:
        return _synthesised(run.sources["transfer_set"])
    entry = SETS[run.stage.data.set]
    train, test = run.stage.data.sizes(entry.train, entry.test, entry.classes)
    return train if split == "train" else test


def _synthesised(run: Run) -> int:
    """How many images a run makes."""
    return run.stage.method.count if isinstance(run.stage.method, Synthesiser) else 0


def images_shown(run: Run, epochs: int | None = None) -> int:
    """How many images a run, or its first epochs, shows to its networks; repeats count."""
    whole, rest = divmod(steps_taken(run, epochs), steps_per_epoch(run))
    return whole * images_of(run, "train") + rest * run.stage.schedule.batch


def steps_taken(run: Run, epochs: int | None = None) -> int:
    """How many training steps a run, or its first epochs, take; its last epoch may be cut short."""
    per_epoch = steps_per_epoch(run)
    steps = run.stage.schedule.steps(per_epoch)
    return steps if epochs is None else min(steps, epochs * per_epoch)


def steps_per_epoch(run: Run) -> int:
    """How many training steps show every image once."""
    return -(-images_of(run, "train") // run.stage.schedule.batch)


class CostTable(Protocol):
    """Where counted networks are looked up; :class:`Costs` is one."""

    def get(self, network: Network, classes: int, channels: int, size: int) -> Cost | None:
        """The cost of a network on images (channels, size, size), or None if it was not counted yet."""

    def get_bytes(self, network: Network, weights: Quantiser, classes: int, channels: int, size: int) -> int | None:
        """What its parameters take, represented so, or None if that was not counted yet."""


def cost_of(network: Network, set_name: str, costs: CostTable) -> Cost | None:
    """The cost of a network on the images of a set; None if it was not counted yet."""
    info = SETS[set_name]
    return costs.get(network, info.classes, info.channels, info.size)


def bytes_of(network: Network, weights: Quantiser | None, set_name: str, costs: CostTable) -> int | None:
    """Bytes of the parameters of a network for the images of a set; None if that was not counted yet."""
    if weights is not None:
        info = SETS[set_name]
        return costs.get_bytes(network, weights, info.classes, info.channels, info.size)
    cost = cost_of(network, set_name, costs)
    return None if cost is None else cost.params * FULL // 8


def step_macs(run: Run, costs: CostTable) -> tuple[list[int], list[int]] | None:
    """Multiply-adds of the networks that a training step of ``run`` trains, and of those that it only runs.

    A teacher is the first network of its run. None if the multiply-adds of one of them are not known.
    """
    networks = [*run.stage.networks, *(teacher.stage.networks[0] for teacher in run.teachers)]
    found = [cost_of(network, run.stage.data.set, costs) for network in networks]
    macs = [cost.macs for cost in found if cost is not None and cost.macs is not None]
    trained = len(run.stage.networks)
    return (macs[:trained], macs[trained:]) if len(macs) == len(networks) else None


def training_flops(run: Run, costs: CostTable, epochs: int | None = None) -> int | None:
    """FLOPs of all training steps of a run, or of its first epochs, without its sources' own training.

    None if the multiply-adds of one of its networks are not known. An evaluation trains nothing; a synthesis goes
    through its teacher forward and, for the gradient of the images alone, backward once.
    """
    if run.kind == "evaluate":
        return 0
    macs = step_macs(run, costs)
    if macs is None:
        return None
    if run.kind == "synthesise":
        return forward_flops(2 * sum(macs[1])) * _synthesised(run) * (run.stage.schedule.iterations or 0)
    # A sequential update predicts every network but the last again, for those that step after it.
    refreshed = macs[0][:-1] if run.stage.update == "sequential" else []
    return step_flops_per_image(macs[0], macs[1], refreshed) * images_shown(run, epochs)


def training_cost(row: Row, run: Run, costs: CostTable) -> tuple[int | None, int | None]:
    """FLOPs of training one seed of a row, ``run`` being its last stage; each distinct run counts once.

    First those of the row's own stages, then with every run that these take from, such as the teacher's training; None
    where the multiply-adds of a network are not known.
    """
    flops = {reached.key: (reached, training_flops(reached, costs)) for reached in with_sources(run)}
    own = [cost for key, (reached, cost) in flops.items() if key == run.key or reached.stage in row.stages]
    return _sum(own), _sum([cost for _, cost in flops.values()])


def _sum(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def iterations(library: Library, table: Table, row: Row) -> int:
    """Training steps of the distinct runs of a row's own stages, for as many networks as the published row trained.

    A stage with a seed of its own is one run for all of them, and so is a ``source``: of that the paper has one. What
    another row trained does not count.
    """
    one = dict.fromkeys(row.sources, next(iter(row.sources.values()), 0))
    published = replace(table, rows={**table.rows, row.name: replace(row, sources=one)})
    library = Library({**library.tables, table.name: published})
    planned = plan(library, [table.name], "paper", rows=[row.name], seeds=row.seeds[: row.nets]).runs.values()
    return sum(steps_taken(run) for run in planned if run.kind == "train" and run.stage in row.stages)


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
