"""One recipe file → one :class:`Table`: defaults of the table under those of a row under those of a stage."""

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
from bench.nodes import compose
from bench.quantisers import Quantiser
from bench.recipe import blocks, checks
from bench.recipe.model import (
    STAGE_KEYS,
    Claim,
    Data,
    Ref,
    Row,
    Stage,
    Table,
    Words,
)
from bench.schedules import Decay, Schedule, Steps
from bench.schema import Distances, entries, fault, named, read
from bench.text import clipped

C = TypeVar("C", bound=Component)

ROW_KEYS = (
    *STAGE_KEYS,
    *("label", "group", "stages", "seeds", "nets", "report", "priority", "published"),
    *("unscored", "waits", "assumed", "deviations", "notes", "sources"),
    *("compared_with", "hypothesis_of", "bounded_by", "baseline", "generations", "survey"),
)
UNAVAILABLE_KEYS = ("label", "group", "published", "notes", "survey")
WAITING_KEYS = (*UNAVAILABLE_KEYS, "waits")
TABLE_KEYS = (
    *("table", "title", "paper", "metric", "columns", "grouped_by", "margin", "seeds", "nets", "networks", "words"),
    "survey",
    *("data", "schedule", "optimizer", "precision", "initial", "assumed", "deviations", "claims", "rows"),
)
NEEDED_TABLE_KEYS = ("table", "title", "paper", "metric", "columns", "grouped_by", "margin", "seeds", "rows")


def read_table(path: Path, shown: str) -> Table:
    """Read and check one file; references to other rows are checked once all tables are there."""
    root = compose(path, shown)
    nodes = entries(root, "table")
    schema.require(nodes, TABLE_KEYS, NEEDED_TABLE_KEYS, root, "table")
    reader = _Reader(nodes, path, shown)
    if not nodes["rows"].value:
        raise fault(nodes["rows"], "rows: at least one")
    rows = {name: reader.row(name, node) for name, node in named(entries(nodes["rows"], "rows"), "rows").items()}
    table = Table(
        name=reader.name,
        title=read(str, nodes["title"], "title"),
        paper=read(str, nodes["paper"], "paper"),
        metric=reader.metric,
        columns=blocks.columns(nodes["columns"]),
        grouped_by=read(str, nodes["grouped_by"], "grouped_by"),
        margin=read(schema.Margin, nodes["margin"], "margin"),
        words=reader.optional("words", dict[str, Words], {}),
        rows=rows,
        claims=reader.optional("claims", tuple[Claim, ...], ()),
        assumed=reader.optional("assumed", dict[str, str], {}),
        deviations=reader.optional("deviations", tuple[str, ...], ()),
        file=path,
        location=blocks.location(nodes["table"]),
    )
    checks.check_claims(table, nodes)
    checks.check_named_rows(table)
    if not any(row.unreadable for row in rows.values()):
        checks.check_assumed(nodes, rows.values(), "assumed")
    return table


def digest_of(file: Path) -> str:
    """The digest of a distance file's numbers: comments and line endings do not count."""
    lines = [s.strip() for s in file.read_bytes().splitlines()]
    return hashlib.sha256(b"\n".join(s for s in lines if s and not s.startswith(b"#"))).hexdigest()[:16]


class _Reader:
    def __init__(self, nodes: dict[str, Node], path: Path, shown: str) -> None:
        self.nodes, self.folder, self.shown = nodes, path.parent, shown
        self.name: str = read(str, nodes["table"], "table")
        named({self.name: nodes["table"]}, "table")
        self.seeds = blocks.seeds(nodes["seeds"], "seeds")
        self.metric: Metric = self.component(registry.METRICS, nodes["metric"], "metric")
        self.networks = {alias: self._alias(alias, node) for alias, node in self._block("networks").items()}
        self.words = {name: self._distances(name, node) for name, node in self._block("words").items()}

    def _alias(self, alias: str, node: Node) -> Network | UnknownComponent:
        """A network under its name in this table; one that is not known spoils only the rows that take it."""
        try:
            return self.component(registry.NETWORKS, node, f"networks.{alias}")
        except UnknownComponent as error:
            return error

    def optional(self, key: str, kind: Any, default: Any) -> Any:
        return read(kind, self.nodes[key], key) if key in self.nodes else default

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

    def row(self, name: str, node: Node) -> Row:
        own = entries(node, f"row {name}")
        noun = f"row {name}"
        schema.require(own, ROW_KEYS, ("label", "group", "published"), node, noun)
        stages: tuple[Stage, ...] = ()
        unreadable = None
        if blocks.says(own["published"], "N/A"):
            schema.require(own, UNAVAILABLE_KEYS, (), node, f"{noun} (N/A)")
        elif "waits" in own:
            schema.require(own, WAITING_KEYS, (), node, f"{noun} (waits)")
        else:
            try:
                stages = self._stages(name, own, node)
            except UnknownComponent as error:
                unreadable = str(error)
        seeds = blocks.seeds(own["seeds"], f"{noun}.seeds") if "seeds" in own else self.seeds
        nets = blocks.nets(own.get("nets", self.nodes.get("nets")), len(seeds), noun)
        if stages:
            self._check_last(stages[-1], seeds, noun)
            checks.check_subsets(len(seeds), nets, own.get("nets", node), noun)
            checks.check_sources(own, stages, noun)

        def said(key: str, kind: Any, default: Any) -> Any:
            return read(kind, own[key], f"{noun}.{key}") if key in own else default

        row = Row(
            name=name,
            label=said("label", str, ""),
            group=said("group", str, ""),
            stages=stages,
            seeds=seeds,
            report=self._report(own, stages, node, noun) if stages else "first",
            priority=blocks.priorities(own.get("priority"), len(seeds), noun),
            nets=nets,
            sources=blocks.sources(own.get("sources"), seeds, noun),
            published=blocks.cells(own, noun, self.metric) if stages or "waits" in own else {},
            unscored=said("unscored", str, None),
            waits=said("waits", str, None),
            assumed=said("assumed", dict[str, str], {}),
            deviations=said("deviations", tuple[str, ...], ()),
            notes=said("notes", tuple[str, ...], ()),
            unreadable=unreadable,
            compared_with=self._row_named(own, "compared_with", noun),
            baseline=self._row_named(own, "baseline", noun),
            generations=said("generations", schema.PositiveInt, 1),
            survey=blocks.survey(own.get("survey", self.nodes.get("survey")), noun),
            hypothesis_of=said("hypothesis_of", str, None),
            bounded_by=said("bounded_by", str, None),
            location=blocks.location(node),
        )
        if stages:
            checks.check_assumed(own, [row], f"{noun}.assumed")
        return row

    def _check_last(self, last: Stage, seeds: tuple[int, ...], noun: str) -> None:
        """A row's last stage is what its number is measured on: one run a seed, of a network."""
        if last.seed is not None and len(seeds) > 1:
            raise RecipeError(f"{last.location}: {noun}: with a 'seed' here its {len(seeds)} seeds would be one run")
        if last.synthesises:
            raise RecipeError(f"{last.location}: {noun}: the last stage trains a network, this one makes images")

    def _stages(self, row: str, own: dict[str, Node], node: Node) -> tuple[Stage, ...]:
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
                values[key] = self.ref(item, row)
            elif key not in ("data", "method", "schedule", "optimizer"):
                values[key] = read(hints[key], item, f"{noun}.{key}")
        stage = Stage(
            name=name,
            data=self._data(blocks.merged("data", layers), node, noun),
            method=method,
            schedule=self._schedule(blocks.merged("schedule", layers), node, f"{noun}.schedule"),
            optimizer=self.component(registry.OPTIMIZERS, stated["optimizer"], f"{noun}.optimizer"),
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
        return self.component(known, node, noun)

    def _teachers(self, node: Node, row: str) -> tuple[Ref, ...]:
        """One reference, or a list of them for an ensemble."""
        return tuple(self.ref(item, row) for item in blocks.one_or_more(node))

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
            decay: Decay = self.component(registry.DECAYS, own.pop("decay"), f"{noun}.decay")
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
            None if blocks.says(item, "full") else self.component(registry.QUANTISERS, item, noun)
            for item in blocks.one_or_more(node)
        )
        return each if any(each) else ()

    def _network(self, node: Node, noun: str) -> Network:
        if isinstance(node, MappingNode):
            return self.component(registry.NETWORKS, node, noun)
        alias = read(str, node, noun)
        if alias not in self.networks:
            raise fault(node, f"{noun}: no network {alias!r} under 'networks'; {schema.nearest(alias, self.networks)}")
        network = self.networks[alias]
        if isinstance(network, UnknownComponent):
            raise network
        return network

    def component(self, known: dict[str, type[C]], node: Node, noun: str) -> C:
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

    def ref(self, node: Node, row: str) -> Ref:
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

    def _row_named(self, own: dict[str, Node], key: str, noun: str) -> Ref | None:
        """``[table/]row``, whatever the seed, if the key is there."""
        if key not in own:
            return None
        table, _, row = str(read(str, own[key], f"{noun}.{key}")).rpartition("/")
        return Ref(table or self.name, row, "", None, blocks.location(own[key]))

    def _report(self, own: dict[str, Node], stages: tuple[Stage, ...], node: Node, noun: str) -> Any:
        group = bool(stages) and len(stages[-1].networks) > 1
        if group != ("report" in own):
            says = "a group of networks must say" if group else "a single network must not say"
            raise fault(own.get("report", node), f"{noun}: {says} 'report: first' or 'report: mean'")
        return read(Row.__annotations__["report"], own["report"], f"{noun}.report") if group else "first"
