"""What networks, training steps and whole rows cost: parameters, multiply-adds, FLOPs and iterations.

Networks are counted by :mod:`bench.counting`. Only convolutions and linear layers count, as in
the published tables (He et al., CVPR 2016; Lan et al., NeurIPS 2018): one multiply-add is one MAC and two FLOPs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol

from bench.graph import Run, plan, with_sources
from bench.methods.base import Synthesiser
from bench.networks.base import Network
from bench.quantisers import FULL, Quantiser
from bench.recipe import Library, Row, Table
from bench.registry import SETS

if TYPE_CHECKING:
    pass


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
