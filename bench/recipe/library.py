"""All tables of a folder of recipes, with the references between their rows checked."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from bench import registry
from bench.errors import RecipeError, UsageError
from bench.methods.base import Method
from bench.recipe.model import Ref, Row, Stage, Table
from bench.recipe.reader import read_table
from bench.recipe.survey import Survey, read_survey
from bench.schema import nearest

# A run is handed to a worker process with all that it takes from: Python pickles about 300 such within each other.
LONGEST_CHAIN = 100
# What of a stage's data says which images it trains on.
_SEEN = ("set", "train", "validation")


@dataclass(frozen=True)
class Library:
    """Tables by name, and the survey whose works their rows may stand for."""

    tables: dict[str, Table]
    survey: Survey = field(default_factory=Survey)

    @property
    def unreadable(self) -> dict[tuple[str, str], str]:
        """By table and row, why a row cannot be read: mostly a plug-in that is not here."""
        rows = ((table.name, row) for table in self.tables.values() for row in table.rows.values())
        return {(table, row.name): row.unreadable for table, row in rows if row.unreadable}

    def table(self, name: str) -> Table:
        """The table of that name; UsageError with the nearest one if there is none."""
        if name not in self.tables:
            raise UsageError(f"no table {name!r}; {nearest(name, self.tables)}")
        return self.tables[name]

    def row(self, ref: Ref) -> Row:
        """The row that an edge names; RecipeError at the edge's line if there is none."""
        if ref.table not in self.tables:
            raise RecipeError(f"{ref.location}: no table {ref.table!r}; {nearest(ref.table, self.tables)}")
        rows = self.tables[ref.table].rows
        if ref.row not in rows:
            raise RecipeError(f"{ref.location}: no row {ref.row!r} in {ref.table}; {nearest(ref.row, rows)}")
        return rows[ref.row]

    def stage(self, ref: Ref) -> Stage:
        """The stage that an edge names: the row's last one unless it names another."""
        row = self.row(ref)
        if not row.stages:
            raise RecipeError(f"{ref.location}: row {ref.row!r} {row.unreadable or 'trains nothing'}")
        if isinstance(ref.seed, int):
            _check_seed(ref, ref.seed, row)
        stages = {s.name: s for s in row.stages}
        if ref.stage and ref.stage not in stages:
            raise RecipeError(
                f"{ref.location}: row {ref.row!r} has no stage {ref.stage!r}; {nearest(ref.stage, stages)}"
                f" (a run of another row is written ROW#1 or ROW#same)"
            )
        return stages[ref.stage] if ref.stage else row.stages[-1]


def load(*folders: Path) -> Library:
    """Read every ``*/*.yaml`` of some folders of recipes, whose rows may name each other, and a ``survey.yaml``.

    A row that names a component that is not here (a missing plug-in), or a row that does, is ``unreadable``.

    Raises:
        RecipeError: any other fault in any of them, as ``file:line: what is wrong; the nearest valid name``.
        UsageError: there is no such folder.
    """
    tables: dict[str, Table] = {}
    survey = Survey()
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"there is no folder of recipes at {folder}")
        for path in sorted(folder.glob("*/*.yaml")):
            table = read_table(path, str(path.relative_to(folder.parent)))
            if table.name in tables:
                raise RecipeError(f"{table.location}: table {table.name!r} is also in {tables[table.name].file}")
            tables[table.name] = table
        if (path := folder / "survey.yaml").exists():
            survey = read_survey(path, str(path.relative_to(folder.parent)))
    library = Library(tables, survey)
    _mark_unreadable(library)
    rows = [(table, row) for table in tables.values() for row in table.rows.values()]
    _check_chains(library, [stage for _, row in rows for stage in row.stages])
    for table, row in rows:
        _check_comparison(library, table, row)
        _check_baseline(library, row)
        _check_work(library, row)
        _check_generations(library, table, row)
        for stage in row.stages:
            for edge, ref in stage.edges.items():
                _check_fits(stage, edge, ref, library.stage(ref))
                for source in row.sources.values() if ref.seed == "source" else ():
                    _check_seed(ref, source, library.row(ref))
    return library


def _check_seed(ref: Ref, seed: int, row: Row) -> None:
    if seed not in row.seeds:
        raise RecipeError(f"{ref.location}: row {ref.row!r} has no seed {seed}; its seeds are {list(row.seeds)}")


def _check_baseline(library: Library, row: Row) -> None:
    """A baseline is of the same network, tested on the same images, as a row with a teacher."""
    if row.baseline is None or not row.stages:
        return
    other = library.stage(row.baseline)
    if not row.stages[-1].teachers:
        raise RecipeError(f"{row.baseline.location}: row {row.name}.baseline: the row has no teacher to agree with")
    if (other.networks[0], other.data.set, other.data.test, other.data.resolution) != (
        row.stages[-1].networks[0],
        row.stages[-1].data.set,
        row.stages[-1].data.test,
        row.stages[-1].data.resolution,
    ):
        raise RecipeError(
            f"{row.baseline.location}: row {row.name}.baseline: {row.baseline.row!r} has another network or other test"
            " images"
        )


def _check_work(library: Library, row: Row) -> None:
    """The survey has the work that a row stands for."""
    works = library.survey.works
    if row.survey is not None and works and row.survey not in works:
        says = f"the survey has no work {row.survey!r}; {nearest(row.survey, works)}"
        raise RecipeError(f"{row.location}: row {row.name}.survey: {says}")


def _check_generations(library: Library, table: Table, row: Row) -> None:
    """Ensembles of generations are of a chain of single teachers that are tested on the same images."""
    if row.generations == 1 or not row.stages:
        return
    noun = f"{row.location}: row {row.name}.generations"
    if "ensemble" not in table.columns:
        raise RecipeError(f"{noun}: needs the column 'ensemble'")
    if row.nets > 1:
        raise RecipeError(f"{noun}: the row has ensembles of {row.nets} seeds ('nets'); give one of the two")
    stage = row.stages[-1]
    for found in range(1, row.generations):
        if len(stage.teachers) != 1:
            raise RecipeError(f"{noun}: {row.generations} networks, but its chain of single teachers has {found}")
        before, stage = stage, library.stage(stage.teachers[0])
        if any(getattr(before.data, key) != getattr(stage.data, key) for key in ("set", "test", "validation")):
            raise RecipeError(f"{noun}: generation {found} before it is tested on other images")


def _check_comparison(library: Library, table: Table, row: Row) -> None:
    """What a published number is compared with is a published number too."""
    if row.compared_with is None:
        return
    for one in (row, library.row(row.compared_with)):
        if (name := table.metric.name) not in one.published and not one.unreadable:
            raise RecipeError(f"{row.location}: row {row.name}.compared_with: {one.name!r} publishes no {name}")


def _mark_unreadable(library: Library) -> None:
    """Rows that take from an unreadable one cannot be read either, nor those that take from them."""
    takers: dict[tuple[str, str], list[tuple[Table, str, Ref]]] = {}
    for table in library.tables.values():
        for row in table.rows.values():
            for ref in (ref for stage in row.stages for ref in stage.edges.values()):
                library.row(ref)
                takers.setdefault((ref.table, ref.row), []).append((table, row.name, ref))
    spread = list(library.unreadable)
    for place in spread:
        for table, name, ref in takers.get(place, []):
            if table.rows[name].stages:
                why = f"it takes from {_told(ref)}: {library.row(ref).unreadable}"
                table.rows[name] = replace(table.rows[name], stages=(), unreadable=why)
                spread.append((table.name, name))


def _check_chains(library: Library, stages: Iterable[Stage]) -> None:
    """No run takes from itself, and no chain is longer than can be carried out; each stage is looked at once.

    A walk with a list of its own: a chain may be longer than Python can call.
    """
    lengths: dict[int, int] = {}  # by the stage itself: how many runs the longest chain has that ends in it
    for first in stages:
        path = [] if id(first) in lengths else [_Step(first, None, iter(first.edges.values()))]
        while path:
            stage, _, edges = path[-1]
            ref = next(edges, None)
            if ref is None:
                path.pop()
                lengths[id(stage)] = 1 + max((lengths[id(library.stage(r))] for r in stage.edges.values()), default=0)
                if lengths[id(stage)] > LONGEST_CHAIN:
                    raise RecipeError(
                        f"{stage.location}: this is run {LONGEST_CHAIN + 1} of a chain in which each takes from the one"
                        f" before; {LONGEST_CHAIN} at most"
                    )
                continue
            source = library.stage(ref)
            _check_acyclic(path, source, ref)
            if id(source) not in lengths:
                path.append(_Step(source, ref, iter(source.edges.values())))


class _Step(NamedTuple):
    """A stage on the way, the edge by which it was reached, and the edges that are still to be followed."""

    stage: Stage
    by: Ref | None
    edges: Iterator[Ref]


def _check_acyclic(path: Sequence[_Step], source: Stage, ref: Ref) -> None:
    on = next((i for i, step in enumerate(path) if step.stage is source), None)
    if on is not None:
        cycle = [*(step.by for step in path[on + 1 :] if step.by), ref]
        told = " takes from ".join(map(_told, [*cycle, cycle[0]]))
        raise RecipeError(f"{cycle[0].location}: a run would take from itself: {told}")


def _told(ref: Ref) -> str:
    return f"{ref.table}/{ref.row}{ref.stage and f'.{ref.stage}'}"


def _check_fits(stage: Stage, edge: str, ref: Ref, source: Stage) -> None:
    """A teacher knows the same classes and sees images of the same kind; initial weights are of the same network."""
    if source.synthesises != (edge == "transfer_set"):
        needs = "a stage that synthesises images" if edge == "transfer_set" else "a stage that trains a network"
        raise RecipeError(f"{ref.location}: {edge!r} names {needs}, which {_told(ref)} is not")
    own, other = registry.SETS[stage.data.set], registry.SETS[source.data.set]
    if (own.classes, own.channels) != (other.classes, other.channels):
        raise RecipeError(
            f"{ref.location}: {_told(ref)} is trained on {source.data.set}, whose classes or channels are not"
            f" those of {stage.data.set}"
        )
    if stage.data.validation and any(getattr(stage.data, key) != getattr(source.data, key) for key in _SEEN):
        raise RecipeError(
            f"{ref.location}: {_told(ref)} is not trained on the images of this stage, so it may have seen those that"
            " are held out here; give both the same 'set', 'train' and 'validation' under 'data'"
        )
    if edge == "init" and any(network != source.networks[0] for network in stage.networks):
        raise RecipeError(
            f"{ref.location}: {_told(ref)} trains another network, so its weights cannot be the initial ones"
        )
    if edge == "init" and isinstance(stage.method, Method) and isinstance(source.method, Method):
        missing = [name for name in stage.method.takes_on if name not in source.method.hands_on]
        if missing or (stage.method.takes_on and source.teachers != stage.teachers):
            why = "has another teacher" if not missing else f"hands on no {' and no '.join(missing)}"
            raise RecipeError(f"{ref.location}: method {stage.method.name!r} goes on from {_told(ref)}, which {why}")
    if ref in stage.teachers and isinstance(stage.method, Method) and stage.method.needs.teacher == "features":
        # The teacher sees the student's images.
        features = (network.features(own.size) for network in (stage.networks[0], source.networks[0]))
        try:
            stage.method.compare(*features)
        except RecipeError as error:
            raise RecipeError(f"{ref.location}: method {stage.method.name!r}: {error}") from None
