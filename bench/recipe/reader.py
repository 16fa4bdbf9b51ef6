"""One recipe file → one :class:`Table`: defaults of the table under those of a row under those of a stage."""

import hashlib
from pathlib import Path
from typing import Any, get_args

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from bench import registry, schema
from bench.errors import RecipeError
from bench.recipe import checks
from bench.recipe.model import (
    EDGES,
    STAGE_KEYS,
    Cell,
    Claim,
    Data,
    Metric,
    Quality,
    Ref,
    Row,
    Schedule,
    Spec,
    Stage,
    Table,
    Words,
)
from bench.schema import Distances, PositiveInt, entries, fault, named, read

ROW_KEYS = (
    *STAGE_KEYS,
    *("label", "group", "stages", "seeds", "nets", "report", "value", "published"),
    *("unscored", "assumed", "deviations", "notes"),
)
UNAVAILABLE_KEYS = ("label", "group", "published", "notes")
TABLE_KEYS = (
    *("table", "title", "paper", "metric", "columns", "grouped_by", "margin", "seeds", "nets", "networks", "words"),
    *("data", "schedule", "optimizer", "precision", "assumed", "deviations", "claims", "rows"),
)
NEEDED_TABLE_KEYS = ("table", "title", "paper", "metric", "columns", "grouped_by", "margin", "seeds", "rows")


def read_table(path: Path, shown: str) -> Table:
    """Read and check one file; references to other rows are checked once all tables are there."""
    root = schema.compose(path, shown)
    found = entries(root, "table")
    schema.require(found, TABLE_KEYS, NEEDED_TABLE_KEYS, root, "table")
    reader = _Reader(found, path, shown)
    rows = {name: reader.row(name, node) for name, node in named(entries(found["rows"], "rows"), "rows").items()}
    table = Table(
        name=reader.name,
        title=read(str, found["title"], "title"),
        paper=read(str, found["paper"], "paper"),
        metric=reader.metric,
        columns=read(tuple[Metric, ...], found["columns"], "columns"),
        grouped_by=read(str, found["grouped_by"], "grouped_by"),
        margin=read(schema.Positive, found["margin"], "margin"),
        words=reader.optional("words", dict[str, Words], {}),
        rows=rows,
        claims=reader.optional("claims", tuple[Claim, ...], ()),
        assumed=reader.optional("assumed", dict[str, str], {}),
        deviations=reader.optional("deviations", tuple[str, ...], ()),
        file=path,
        where=_where(found["table"]),
    )
    checks.check_claims(table, found)
    checks.check_assumed(found, [stage for row in rows.values() for stage in row.stages], "assumed")
    return table


def digest_of(file: Path) -> str:
    """The digest of a distance file's numbers: comments and line endings do not count."""
    lines = [s.strip() for s in file.read_bytes().splitlines()]
    return hashlib.sha256(b"\n".join(s for s in lines if s and not s.startswith(b"#"))).hexdigest()[:16]


class _Reader:
    def __init__(self, found: dict[str, Node], path: Path, shown: str) -> None:
        self.found, self.folder, self.shown = found, path.parent, shown
        self.name: str = read(str, found["table"], "table")
        named({self.name: found["table"]}, "table")
        self.seeds = _seeds(found["seeds"], "seeds")
        self.metric: Quality = read(Quality, found["metric"], "metric")
        self.networks = {
            alias: self.component(registry.NETWORKS, node, f"networks.{alias}")
            for alias, node in self._block("networks").items()
        }
        self.words = {name: self._distances(name, node) for name, node in self._block("words").items()}

    def optional(self, key: str, kind: Any, default: Any) -> Any:
        return read(kind, self.found[key], key) if key in self.found else default

    def _block(self, key: str) -> dict[str, Node]:
        return entries(self.found[key], key) if key in self.found else {}

    def _distances(self, name: str, node: Node) -> Distances:
        words = read(Words, node, f"words.{name}")
        file = self.folder / words.distances
        if not file.is_file():
            raise fault(node, f"words.{name}: there is no file {words.distances!r} beside this recipe")
        return Distances(name, file, digest_of(file))

    def row(self, name: str, node: Node) -> Row:
        own = entries(node, f"row {name}")
        noun = f"row {name}"
        schema.require(own, ROW_KEYS, ("label", "group", "published"), node, noun)
        if _says(own["published"], "N/A"):
            schema.require(own, UNAVAILABLE_KEYS, (), node, f"{noun} (N/A)")
            stages: tuple[Stage, ...] = ()
        else:
            stages = self._stages(name, own, node)
        seeds = _seeds(own["seeds"], f"{noun}.seeds") if "seeds" in own else self.seeds
        if stages and stages[-1].seed is not None and len(seeds) > 1:
            raise RecipeError(f"{stages[-1].where}: {noun}: with a 'seed' here its {len(seeds)} seeds would be one run")
        if stages and stages[-1].synthesises:
            raise RecipeError(f"{stages[-1].where}: {noun}: the last stage trains a network, this one makes images")
        checks.check_assumed(own, stages, f"{noun}.assumed")
        return Row(
            name=name,
            label=read(str, own["label"], f"{noun}.label"),
            group=read(str, own["group"], f"{noun}.group"),
            stages=stages,
            seeds=seeds,
            report=self._report(own, stages, node, noun),
            value=_values(own.get("value"), len(seeds), noun),
            nets=_nets(own.get("nets", self.found.get("nets")), len(seeds), noun),
            published=_cells(own["published"], f"{noun}.published", self.metric) if stages else {},
            unscored=read(str, own["unscored"], f"{noun}.unscored") if "unscored" in own else None,
            assumed=read(dict[str, str], own["assumed"], f"{noun}.assumed") if "assumed" in own else {},
            deviations=read(tuple[str, ...], own["deviations"], f"{noun}.deviations") if "deviations" in own else (),
            notes=read(tuple[str, ...], own["notes"], f"{noun}.notes") if "notes" in own else (),
            where=_where(node),
        )

    def _stages(self, row: str, own: dict[str, Node], node: Node) -> tuple[Stage, ...]:
        noun = f"row {row}"
        if "stages" not in own:
            return (self._stage(row, "train", [self.found, own], node, noun),)
        parts = named(entries(own["stages"], f"{noun}.stages"), f"{noun}.stages")
        if not parts:
            raise fault(own["stages"], f"{noun}.stages: at least one")
        for name, part in parts.items():
            schema.require(entries(part, f"{noun}.stages.{name}"), STAGE_KEYS, (), part, f"{noun}.stages.{name}")
        return tuple(
            self._stage(row, name, [self.found, own, entries(part, noun)], part, f"{noun}.stages.{name}")
            for name, part in parts.items()
        )

    def _stage(self, row: str, name: str, layers: list[dict[str, Node]], node: Node, noun: str) -> Stage:
        said = {key: layer[key] for layer in layers for key in STAGE_KEYS if key in layer}
        schema.require(said, STAGE_KEYS, ("data", "method", "schedule", "optimizer", "precision"), node, noun)
        method = self.component(registry.METHODS, said["method"], f"{noun}.method")
        if registry.METHODS[method.name].kind == "train":
            schema.require(said, STAGE_KEYS, ("network",), node, noun)
        networks = self._networks(said["network"], f"{noun}.network") if "network" in said else ()
        stage = Stage(
            name=name,
            data=self._data(_merged("data", layers), node, noun),
            networks=networks,
            method=method,
            update=read(Stage.__annotations__["update"], said["update"], f"{noun}.update")
            if "update" in said
            else None,
            schedule=self._schedule(_merged("schedule", layers), node, noun),
            optimizer=self.component(registry.OPTIMIZERS, said["optimizer"], f"{noun}.optimizer"),
            precision=read(Stage.__annotations__["precision"], said["precision"], f"{noun}.precision"),
            **{edge: self.ref(said[edge], row) for edge in EDGES if edge in said},
            seed=read(PositiveInt, said["seed"], f"{noun}.seed") if "seed" in said else None,
            teacher_cache=read(Stage.__annotations__["teacher_cache"], said["teacher_cache"], f"{noun}.teacher_cache")
            if "teacher_cache" in said
            else "auto",
            where=_where(node),
        )
        checks.check_method(stage, said, noun)
        return stage

    def _data(self, found: dict[str, Node], node: Node, noun: str) -> Data:
        data = schema.fill(Data, found, node, f"{noun}.data")
        if data.set not in registry.SETS:
            raise fault(
                found["set"], f"{noun}.data: no data set {data.set!r}; {schema.nearest(data.set, registry.SETS)}"
            )
        for key in ("mean", "std"):
            if len(getattr(data, key)) != registry.SETS[data.set].channels:
                raise fault(found[key], f"{noun}.data.{key}: one number for each channel of {data.set}")
        for key in ("train", "test"):
            part = getattr(data, key)
            if part != "all" and (part.fraction is None) == (part.per_class is None):
                raise fault(found[key], f"{noun}.data.{key}: give fraction or per_class, one of the two")
        return data

    def _schedule(self, found: dict[str, Node], node: Node, noun: str) -> Schedule:
        schedule = schema.fill(Schedule, found, node, f"{noun}.schedule")
        length = schedule.epochs or schedule.iterations
        if length is None or (schedule.epochs and schedule.iterations):
            raise fault(found.get("iterations", node), f"{noun}.schedule: give epochs or iterations, one of the two")
        if list(schedule.drops) != sorted(set(schedule.drops)) or (schedule.drops and schedule.drops[-1] >= length):
            raise fault(found["drops"], f"{noun}.schedule.drops: must rise and stay below the length, {length}")
        return schedule

    def _networks(self, node: Node, noun: str) -> tuple[Spec, ...]:
        return tuple(self._network(item, noun) for item in (node.value if isinstance(node, SequenceNode) else [node]))

    def _network(self, node: Node, noun: str) -> Spec:
        if isinstance(node, MappingNode):
            return self.component(registry.NETWORKS, node, noun)
        alias = read(str, node, noun)
        if alias not in self.networks:
            raise fault(node, f"{noun}: no network {alias!r} under 'networks'; {schema.nearest(alias, self.networks)}")
        return self.networks[alias]

    def component(self, known: Any, node: Node, noun: str) -> Spec:
        """``name`` or ``{name: {parameter: value}}``; every parameter of the registry's schema must be given."""
        said = {read(str, node, noun): None} if isinstance(node, ScalarNode) else entries(node, noun)
        if len(said) != 1:
            raise fault(node, f"{noun}: one name with its parameters, got {', '.join(said) or 'nothing'}")
        ((name, inner),) = said.items()
        if name not in known:
            raise fault(node, f"{noun}: {name!r} is not known; {schema.nearest(name, known)}")
        params = entries(inner, f"{noun}.{name}") if inner is not None else {}
        kinds, noun = known[name].params, f"{noun}.{name}"
        schema.require(params, kinds, kinds, node, noun)
        spec = Spec(name, {key: self._param(kinds[key], item, f"{noun}.{key}") for key, item in params.items()})
        try:
            if known[name].check:
                known[name].check(**spec.params)
        except RecipeError as error:
            raise fault(inner or node, f"{noun}: {error}") from None
        return spec

    def _param(self, kind: Any, node: Node, noun: str) -> Any:
        if kind is not Distances:
            return read(kind, node, noun)
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
            return Ref(self.name, row, text, None, _where(node))
        if not (seed == "same" or seed.isdecimal()):
            raise fault(node, f"row {row}: {text!r} names no seed; write {place}#1 or {place}#same")
        table, _, row = place.rpartition("/")
        row, _, stage = row.partition(".")
        return Ref(table or self.name, row, stage, None if seed == "same" else int(seed), _where(node))

    def _report(self, own: dict[str, Node], stages: tuple[Stage, ...], node: Node, noun: str) -> Any:
        group = bool(stages) and len(stages[-1].networks) > 1
        if group != ("report" in own):
            says = "a group of networks must say" if group else "a single network must not say"
            raise fault(own.get("report", node), f"{noun}: {says} 'report: first' or 'report: mean'")
        return read(Row.__annotations__["report"], own["report"], f"{noun}.report") if group else "first"


def _merged(key: str, layers: list[dict[str, Node]]) -> dict[str, Node]:
    """A block's keys, the inner layer's over the outer's; the length of a schedule is said in one unit only."""
    merged: dict[str, Node] = {}
    for layer in layers:
        own = entries(layer[key], key) if key in layer else {}
        if own.keys() & {"epochs", "iterations"}:
            merged = {k: v for k, v in merged.items() if k not in ("epochs", "iterations")}
        merged |= own
    return merged


def _cells(node: Node, noun: str, quality: str) -> dict[str, Cell]:
    """Published numbers; a bare number is enough for what is counted rather than measured."""
    cells = {}
    if isinstance(node, ScalarNode):
        raise fault(node, f"{noun}: expected N/A or keys and values, got {node.value or 'nothing'}")
    found = entries(node, noun)
    schema.require(found, get_args(Metric), (), node, noun)
    for metric, item in found.items():
        bare = isinstance(item, ScalarNode)
        if metric in get_args(Quality) and metric != quality:
            raise fault(item, f"{noun}: this table's metric is {quality!r}, not {metric!r}")
        if bare and metric == quality:
            raise fault(item, f"{noun}.{metric}: give value, spread, meaning, n, source and protocol")
        cells[metric] = (
            Cell(read(float, item, f"{noun}.{metric}"), source="") if bare else read(Cell, item, f"{noun}.{metric}")
        )
    return cells


def _seeds(node: Node, noun: str) -> tuple[int, ...]:
    seeds: tuple[int, ...] = read(tuple[PositiveInt, ...], node, noun)
    if not seeds or len(set(seeds)) < len(seeds):
        raise fault(node, f"{noun}: at least one, and each once")
    return seeds


def _values(node: Node | None, count: int, noun: str) -> tuple[float, ...]:
    """How much each seed's run is worth when time is short: one number for all seeds, or one for each."""
    if node is None:
        return (0.0,) * count
    if isinstance(node, ScalarNode):
        return (read(float, node, f"{noun}.value"),) * count
    values: tuple[float, ...] = read(tuple[float, ...], node, f"{noun}.value")
    if len(values) != count:
        raise fault(node, f"{noun}.value: {count} seeds but {len(values)} values")
    return values


def _nets(node: Node | None, seeds: int, noun: str) -> int:
    """How many networks a published row trained; our seeds stand for them where its iterations are summed."""
    nets: int = 1 if node is None else read(PositiveInt, node, f"{noun}.nets")
    if node is not None and nets > seeds:
        raise fault(node, f"{noun}.nets: {nets} networks need as many seeds, but there are {seeds}")
    return nets


def _says(node: Node, text: str) -> bool:
    return isinstance(node, ScalarNode) and node.value == text


def _where(node: Node) -> str:
    return f"{node.start_mark.name}:{node.start_mark.line + 1}"
