"""The small parts of a recipe: blocks laid over each other, published numbers, seeds and what hangs on them."""

import math
from collections.abc import Iterable

from yaml.nodes import Node, ScalarNode, SequenceNode

from bench import registry, schema
from bench.errors import UnknownComponent
from bench.metrics import Metric
from bench.recipe.model import COLUMNS, Cell
from bench.schema import PositiveInt, entries, fault, read

# Keys that say the same thing in several ways: an inner layer's one takes the place of all of an outer one's.
_INSTEAD = ({"epochs"}, {"iterations"}), ({"decay"}, {"drops", "gamma"})


def merged(key: str, layers: list[dict[str, Node]]) -> dict[str, Node]:
    """A block's keys, the inner layer's over the outer's."""
    merged: dict[str, Node] = {}
    for layer in layers:
        own = entries(layer[key], key) if key in layer else {}
        for one, other in _INSTEAD:
            for given, replaced in ((one, other), (other, one)):
                if own.keys() & given:
                    merged = {k: v for k, v in merged.items() if k not in replaced}
        merged |= own
    return merged


def unknown(node: Node, noun: str, name: str, known: Iterable[str]) -> UnknownComponent:
    """What is said of a component that is not here, with the plug-ins that could not be loaded."""
    error = fault(node, f"{noun} {name!r} is not known; {schema.nearest(name, known)}")
    broken = "".join(f"; the plug-in {plugin} could not be loaded ({why})" for plugin, why in registry.BROKEN.items())
    return UnknownComponent(f"{error}{broken}")


def columns(node: Node) -> tuple[str, ...]:
    """What a table has columns of: metrics, and what else there is."""
    known = (*registry.METRICS, *COLUMNS)
    names: tuple[str, ...] = read(tuple[str, ...], node, "columns")
    for name, item in zip(names, one_or_more(node), strict=True):
        if name not in known:
            raise fault(item, f"columns: {name!r} is not known; {schema.nearest(name, known)}")
    return names


def cells(row: dict[str, Node], noun: str, quality: Metric) -> dict[str, Cell]:
    """Published numbers of a row; a bare number is enough for what is counted rather than measured.

    A row that waits may also have what no column can show.
    """
    node, noun, cells = row["published"], f"{noun}.published", dict[str, Cell]()
    if isinstance(node, ScalarNode):
        raise fault(node, f"{noun}: expected N/A or keys and values, got {node.value or 'nothing'}")
    nodes = entries(node, noun)
    others = [*COLUMNS, *(["seconds"] if "waits" in row else [])]
    schema.require(nodes, (*registry.METRICS, *others), (), node, noun)
    for metric, item in nodes.items():
        bare = isinstance(item, ScalarNode)
        if metric in registry.METRICS and metric != quality.name:
            raise fault(item, f"{noun}: this table's metric is {quality.name!r}, not {metric!r}")
        if bare and metric == quality.name:
            raise fault(item, f"{noun}.{metric}: give value, spread, meaning, n, source and protocol")
        cell = Cell(read(float, item, f"{noun}.{metric}"), source="") if bare else read(Cell, item, f"{noun}.{metric}")
        least, most = quality.limits if metric in (quality.name, "ensemble") else (0.0, math.inf)
        if not least <= cell.value <= most:
            raise fault(item, f"{noun}.{metric}: {cell.value:g} is no {metric}")
        cells[metric] = cell
    return cells


def seeds(node: Node, noun: str) -> tuple[int, ...]:
    """The seeds of a table or a row, each once."""
    seeds: tuple[int, ...] = read(tuple[PositiveInt, ...], node, noun)
    if not seeds or len(set(seeds)) < len(seeds):
        raise fault(node, f"{noun}: at least one, and each once")
    return seeds


def priorities(node: Node | None, count: int, noun: str) -> tuple[float, ...]:
    """How much each seed's run is worth when time is short: one number for all seeds, or one for each."""
    if node is None:
        return (0.0,) * count
    if isinstance(node, ScalarNode):
        return (read(float, node, f"{noun}.priority"),) * count
    values: tuple[float, ...] = read(tuple[float, ...], node, f"{noun}.priority")
    if len(values) != count:
        raise fault(node, f"{noun}.priority: {count} seeds but {len(values)} numbers")
    return values


def sources(node: Node | None, seeds: tuple[int, ...], noun: str) -> dict[int, int]:
    """By seed, what ``source`` stands for in a row's stages; empty where the row does not say."""
    if node is None:
        return {}
    values: tuple[int, ...] = read(tuple[PositiveInt, ...], node, f"{noun}.sources")
    if len(values) != len(seeds):
        raise fault(node, f"{noun}.sources: {len(seeds)} seeds but {len(values)} numbers")
    return dict(zip(seeds, values, strict=True))


def nets(node: Node | None, seeds: int, noun: str) -> int:
    """How many networks a published row trained; our seeds stand for them where its iterations are summed."""
    nets: int = 1 if node is None else read(PositiveInt, node, f"{noun}.nets")
    if node is not None and nets > seeds:
        raise fault(node, f"{noun}.nets: {nets} networks need as many seeds, but there are {seeds}")
    return nets


def survey(node: Node | None, noun: str) -> str | None:
    """The work of the survey that a row or its table stands for: ``9``, or ``1 (Ex. 2)`` where it has several."""
    return None if node is None else str(read(PositiveInt | str, node, f"{noun}.survey"))


def one_or_more(node: Node) -> list[Node]:
    """The items of a list, or what stands in the place of one."""
    return node.value if isinstance(node, SequenceNode) else [node]


def says(node: Node, text: str) -> bool:
    """Whether a node is just this text."""
    return isinstance(node, ScalarNode) and node.value == text


def location(node: Node) -> str:
    """Where a node stands, ``file:line``."""
    return f"{node.start_mark.name}:{node.start_mark.line + 1}"
