"""One recipe file → one :class:`Table`: defaults of the table under those of a row under those of a stage."""

from pathlib import Path
from typing import Any

from yaml.nodes import Node

from bench import schema
from bench.errors import RecipeError, UnknownComponent
from bench.nodes import compose
from bench.recipe import blocks, checks
from bench.recipe.model import STAGE_KEYS, Claim, Ref, Row, Stage, Table, Words
from bench.recipe.stages import StageReader
from bench.schema import entries, fault, named, read

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
    reader = _Reader(nodes, path)
    if not nodes["rows"].value:
        raise fault(nodes["rows"], "rows: at least one")
    rows = {name: reader.row(name, node) for name, node in named(entries(nodes["rows"], "rows"), "rows").items()}
    table = Table(
        name=reader.stages.name,
        title=read(str, nodes["title"], "title"),
        paper=read(str, nodes["paper"], "paper"),
        metric=reader.stages.metric,
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


class _Reader:
    """One table, as its file says it."""

    def __init__(self, nodes: dict[str, Node], path: Path) -> None:
        self.nodes = nodes
        self.stages = StageReader(nodes, path)
        self.seeds = blocks.seeds(nodes["seeds"], "seeds")

    def optional(self, key: str, kind: Any, default: Any) -> Any:
        return read(kind, self.nodes[key], key) if key in self.nodes else default

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
                stages = self.stages.of_row(name, own, node)
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
            published=blocks.cells(own, noun, self.stages.metric) if stages or "waits" in own else {},
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

    def _row_named(self, own: dict[str, Node], key: str, noun: str) -> Ref | None:
        """``[table/]row``, whatever the seed, if the key is there."""
        if key not in own:
            return None
        table, _, row = str(read(str, own[key], f"{noun}.{key}")).rpartition("/")
        return Ref(table or self.stages.name, row, "", None, blocks.location(own[key]))

    def _report(self, own: dict[str, Node], stages: tuple[Stage, ...], node: Node, noun: str) -> Any:
        group = bool(stages) and len(stages[-1].networks) > 1
        if group != ("report" in own):
            says = "a group of networks must say" if group else "a single network must not say"
            raise fault(own.get("report", node), f"{noun}: {says} 'report: first' or 'report: mean'")
        return read(Row.__annotations__["report"], own["report"], f"{noun}.report") if group else "first"
