"""The stages of a row: what the stage, its row and its table say, the innermost first."""

import hashlib
from pathlib import Path
from typing import Any, TypeVar

from yaml.nodes import MappingNode, Node, ScalarNode

from bench import registry, schema
from bench.component import Component
from bench.errors import RecipeError, UnknownComponent
from bench.methods.base import Method, Synthesiser
from bench.metrics import Metric
from bench.networks.base import Network
from bench.quantisers import Quantiser
from bench.recipe import blocks, checks
from bench.recipe.model import STAGE_KEYS, Data, Ref, Stage, Words
from bench.schedules import Decay, Schedule, Steps
from bench.schema import Distances, entries, fault, named, read
from bench.text import clipped

C = TypeVar("C", bound=Component)


def digest_of(file: Path) -> str:
    """The digest of a distance file's numbers: comments and line endings do not count."""
    lines = [s.strip() for s in file.read_bytes().splitlines()]
    return hashlib.sha256(b"\n".join(s for s in lines if s and not s.startswith(b"#"))).hexdigest()[:16]


class StageReader:
    """Reads the stages of one table's rows.

    Args:
        nodes: what the table says, by key.
        path: its file, beside which distances of words lie.
    """

    def __init__(self, nodes: dict[str, Node], path: Path) -> None:
        self.nodes, self.folder = nodes, path.parent
        self.name: str = read(str, nodes["table"], "table")
        named({self.name: nodes["table"]}, "table")
        self.metric: Metric = self._component(registry.METRICS, nodes["metric"], "metric")
        self.networks = {alias: self._alias(alias, node) for alias, node in self._block("networks").items()}
        self.words = {name: self._distances(name, node) for name, node in self._block("words").items()}

    def of_row(self, row: str, own: dict[str, Node], node: Node) -> tuple[Stage, ...]:
        """Those of a row, by what it says itself: one that has no name of its own, or those that it names."""
        noun = f"row {row}"
        if "stages" not in own:
            return (self._stage(row, "train", [self.nodes, own], node, noun),)
        parts = named(entries(own["stages"], f"{noun}.stages"), f"{noun}.stages")
        if not parts:
            raise fault(own["stages"], f"{noun}.stages: at least one")
        for name, part in parts.items():
            schema.require(entries(part, f"{noun}.stages.{name}"), STAGE_KEYS, (), part, f"{noun}.stages.{name}")
        return tuple(
            self._stage(row, name, [self.nodes, own, entries(part, noun)], part, f"{noun}.stages.{name}")
            for name, part in parts.items()
        )

    def _alias(self, alias: str, node: Node) -> Network | UnknownComponent:
        """A network under its name in this table; one that is not known spoils only the rows that take it."""
        try:
            return self._component(registry.NETWORKS, node, f"networks.{alias}")
        except UnknownComponent as error:
            return error

    def _block(self, key: str) -> dict[str, Node]:
        return entries(self.nodes[key], key) if key in self.nodes else {}

    def _distances(self, name: str, node: Node) -> Distances:
        words = read(Words, node, f"words.{name}")
        if empty := [label for label, word in words.labels.items() if not word]:
            raise fault(node, f"words.{name}.labels: class {empty[0]!r} has no word")
        file = self.folder / words.distances
        try:
            if not file.is_file():
                raise fault(node, f"words.{name}: there is no file {words.distances!r} beside this recipe")
            return Distances(name, file, digest_of(file))
        except OSError as error:
            raise fault(node, f"words.{name}: {clipped(words.distances)}: {error.strerror}") from None

    def _stage(self, row: str, name: str, layers: list[dict[str, Node]], node: Node, noun: str) -> Stage:
        """A stage from what it, its row and its table say, the innermost first."""
        stated = {key: layer[key] for layer in layers for key in STAGE_KEYS if key in layer}
        schema.require(stated, STAGE_KEYS, ("data", "method", "schedule", "optimizer", "precision"), node, noun)
        method = self._method(stated["method"], f"{noun}.method")
        if isinstance(method, Method):
            schema.require(stated, STAGE_KEYS, ("network",), node, noun)
        hints, values = schema.hints_of(Stage), dict[str, Any]()
        for key, item in stated.items():
            if key == "network":
                values["networks"] = self._networks(item, f"{noun}.network")
            elif key == "teacher":
                values["teachers"] = self._teachers(item, row)
            elif key == "weights":
                values["weights"] = self._weights(item, f"{noun}.weights")
            elif hints[key] == Ref | None:
                values[key] = self._ref(item, row)
            elif key not in ("data", "method", "schedule", "optimizer"):
                values[key] = read(hints[key], item, f"{noun}.{key}")
        stage = Stage(
            name=name,
            data=self._data(blocks.merged("data", layers), node, noun),
            method=method,
            schedule=self._schedule(blocks.merged("schedule", layers), node, f"{noun}.schedule"),
            optimizer=self._component(registry.OPTIMIZERS, stated["optimizer"], f"{noun}.optimizer"),
            metric=self.metric.recorded,
            location=blocks.location(node),
            **({"networks": ()} | values),
        )
        checks.check_method(stage, stated, noun)
        checks.check_answers(stage, stated, noun)
        checks.check_size(stage, stated, noun)
        return stage

    def _method(self, node: Node, noun: str) -> Method | Synthesiser:
        known: dict[str, type[Method] | type[Synthesiser]] = {**registry.METHODS, **registry.SYNTHESISERS}
        return self._component(known, node, noun)

    def _teachers(self, node: Node, row: str) -> tuple[Ref, ...]:
        """One reference, or a list of them for an ensemble."""
        return tuple(self._ref(item, row) for item in blocks.one_or_more(node))

    def _data(self, nodes: dict[str, Node], node: Node, noun: str) -> Data:
        data = schema.fill(Data, nodes, node, f"{noun}.data")
        if data.set not in registry.SETS:
            raise blocks.unknown(nodes["set"], f"{noun}.data: data set", data.set, registry.SETS)
        checks.check_data(data, nodes, f"{noun}.data")
        return data

    def _schedule(self, nodes: dict[str, Node], node: Node, noun: str) -> Schedule:
        """A schedule whose decay is named, or that says the drops and the gamma of steps itself."""
        own, known = dict(nodes), schema.names(Schedule)
        if "decay" in own:
            decay: Decay = self._component(registry.DECAYS, own.pop("decay"), f"{noun}.decay")
        else:
            known += schema.names(Steps)
            schema.require(own, known, (), node, noun)
            steps = {key: own.pop(key) for key in schema.names(Steps) if key in own}
            decay = schema.fill(Steps, steps, node, noun)
        schema.require(own, known, ("batch", "lr"), node, noun)
        schedule = Schedule(decay=decay, **schema.values(Schedule, own, noun, {}))
        try:
            schedule.check()
        except RecipeError as error:
            key = str(error).partition(":")[0]
            at = nodes.get(key, nodes.get("iterations", node))
            raise fault(at, f"{noun}{'.' if key in nodes else ': '}{error}") from None
        return schedule

    def _networks(self, node: Node, noun: str) -> tuple[Network, ...]:
        return tuple(self._network(item, noun) for item in blocks.one_or_more(node))

    def _weights(self, node: Node, noun: str) -> tuple[Quantiser | None, ...]:
        """A representation for each network, or ``full``; nothing where all of them are that."""
        each = tuple(
            None if blocks.says(item, "full") else self._component(registry.QUANTISERS, item, noun)
            for item in blocks.one_or_more(node)
        )
        return each if any(each) else ()

    def _network(self, node: Node, noun: str) -> Network:
        if isinstance(node, MappingNode):
            return self._component(registry.NETWORKS, node, noun)
        alias = read(str, node, noun)
        if alias not in self.networks:
            raise fault(node, f"{noun}: no network {alias!r} under 'networks'; {schema.nearest(alias, self.networks)}")
        network = self.networks[alias]
        if isinstance(network, UnknownComponent):
            raise network
        return network

    def _component(self, known: dict[str, type[C]], node: Node, noun: str) -> C:
        """``name`` or ``{name: {parameter: value}}``; a parameter with a default may be left out."""
        stated = {read(str, node, noun): None} if isinstance(node, ScalarNode) else entries(node, noun)
        if len(stated) != 1:
            raise fault(node, f"{noun}: one name with its parameters, got {', '.join(stated) or 'nothing'}")
        ((name, inner),) = stated.items()
        if name not in known:
            raise blocks.unknown(node, f"{noun}:", name, known)
        params = entries(inner, f"{noun}.{name}") if inner is not None else {}
        component = schema.fill(known[name], params, node, f"{noun}.{name}", {Distances: self._words})
        try:
            component.check()
        except RecipeError as error:
            raise fault(inner or node, f"{noun}.{name}: {error}") from None
        return component

    def _words(self, node: Node, noun: str) -> Distances:
        name = read(str, node, noun)
        if name not in self.words:
            raise fault(node, f"{noun}: no word distances {name!r} under 'words'; {schema.nearest(name, self.words)}")
        return self.words[name]

    def _ref(self, node: Node, row: str) -> Ref:
        """``[table/]row[.stage]#seed``, ``#same`` for each seed its own; or the name of a stage of this row.

        Whether it exists is checked once all tables are read.
        """
        text = read(str, node, f"row {row}")
        place, hash_, seed = text.partition("#")
        if not hash_ and "/" not in text and text:
            return Ref(self.name, row, text, None, blocks.location(node))
        if not (seed in ("same", "source") or (seed.isdecimal() and len(seed) <= 18)):
            at = clipped(place)
            raise fault(node, f"row {row}: {clipped(text)!r} names no seed; write {at}#1, {at}#same or {at}#source")
        number: Any = {"same": None, "source": "source"}[seed] if not seed.isdecimal() else int(seed)
        table, _, row = place.rpartition("/")
        row, _, stage = row.partition(".")
        return Ref(table or self.name, row, stage, number, blocks.location(node))
