"""All tables of a folder of recipes, with the references between their rows checked."""

from dataclasses import dataclass, replace
from pathlib import Path

from bench import registry
from bench.errors import RecipeError, UsageError
from bench.methods.base import Method
from bench.recipe.model import Ref, Row, Stage, Table
from bench.recipe.reader import read_table
from bench.schema import nearest


@dataclass(frozen=True)
class Library:
    """Tables by name."""

    tables: dict[str, Table]

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
        if ref.seed is not None and ref.seed not in row.seeds:
            raise RecipeError(
                f"{ref.location}: row {ref.row!r} has no seed {ref.seed}; its seeds are {list(row.seeds)}"
            )
        stages = {s.name: s for s in row.stages}
        if ref.stage and ref.stage not in stages:
            raise RecipeError(
                f"{ref.location}: row {ref.row!r} has no stage {ref.stage!r}; {nearest(ref.stage, stages)}"
                f" (a run of another row is written ROW#1 or ROW#same)"
            )
        return stages[ref.stage] if ref.stage else row.stages[-1]


def load(*folders: Path) -> Library:
    """Read every ``*/*.yaml`` of some folders of recipes, whose rows may name each other.

    A row that names a component that is not here (a missing plug-in), or a row that does, is ``unreadable``.

    Raises:
        RecipeError: any other fault in any of them, as ``file:line: what is wrong; the nearest valid name``.
        UsageError: there is no such folder.
    """
    tables: dict[str, Table] = {}
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"there is no folder of recipes at {folder}")
        for path in sorted(folder.glob("*/*.yaml")):
            table = read_table(path, str(path.relative_to(folder.parent)))
            if table.name in tables:
                raise RecipeError(f"{table.location}: table {table.name!r} is also in {tables[table.name].file}")
            tables[table.name] = table
    library = Library(tables)
    _mark_unreadable(library)
    for stage in (stage for table in tables.values() for row in table.rows.values() for stage in row.stages):
        for edge, ref in stage.edges.items():
            _check_acyclic(library, ref, ())
            _check_fits(stage, edge, ref, library.stage(ref))
    return library


def _mark_unreadable(library: Library) -> None:
    """Rows that take from an unreadable one cannot be read either, nor those that take from them."""
    spread = True
    while spread:
        spread = False
        for table in library.tables.values():
            for name, row in table.rows.items():
                for ref in [ref for stage in row.stages for ref in stage.edges.values()]:
                    why = library.row(ref).unreadable
                    if why and row.stages:
                        table.rows[name] = row = replace(
                            row, stages=(), unreadable=f"it takes from {_told(ref)}: {why}"
                        )
                        spread = True


def _check_acyclic(library: Library, ref: Ref, path: tuple[Ref, ...]) -> None:
    if ref in path:
        cycle = (*path[path.index(ref) :], ref)
        raise RecipeError(f"{ref.location}: a run would take from itself: {' takes from '.join(map(_told, cycle))}")
    for edge in library.stage(ref).edges.values():
        _check_acyclic(library, edge, (*path, ref))


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
