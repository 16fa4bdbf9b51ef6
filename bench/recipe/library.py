"""All tables of a folder of recipes, with the references between their rows checked."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.errors import RecipeError, UsageError
from bench.recipe.model import Ref, Row, Stage, Table
from bench.recipe.reader import read_table
from bench.schema import nearest


@dataclass(frozen=True)
class Library:
    """Tables by name."""

    tables: dict[str, Table]

    def table(self, name: str) -> Table:
        """The table of that name; UsageError with the nearest one if there is none."""
        if name not in self.tables:
            raise UsageError(f"no table {name!r}; {nearest(name, self.tables)}")
        return self.tables[name]

    def row(self, ref: Ref) -> Row:
        """The row that an edge names; RecipeError at the edge's line if there is none."""
        if ref.table not in self.tables:
            raise RecipeError(f"{ref.where}: no table {ref.table!r}; {nearest(ref.table, self.tables)}")
        rows = self.tables[ref.table].rows
        if ref.row not in rows:
            raise RecipeError(f"{ref.where}: no row {ref.row!r} in {ref.table}; {nearest(ref.row, rows)}")
        return rows[ref.row]

    def stage(self, ref: Ref) -> Stage:
        """The stage that an edge names: the row's last one unless it names another."""
        row = self.row(ref)
        if not row.stages:
            raise RecipeError(f"{ref.where}: row {ref.row!r} trains nothing")
        if ref.seed is not None and ref.seed not in row.seeds:
            raise RecipeError(f"{ref.where}: row {ref.row!r} has no seed {ref.seed}; its seeds are {list(row.seeds)}")
        stages = {s.name: s for s in row.stages}
        if ref.stage and ref.stage not in stages:
            raise RecipeError(
                f"{ref.where}: row {ref.row!r} has no stage {ref.stage!r}; {nearest(ref.stage, stages)}"
                f" (a run of another row is written ROW#1 or ROW#same)"
            )
        return stages[ref.stage] if ref.stage else row.stages[-1]


def load(folder: Path) -> Library:
    """Read every ``*/*.yaml`` of the folder.

    Raises:
        RecipeError: a fault in any of them, as ``file:line: what is wrong; the nearest valid name``.
    """
    if not folder.is_dir():
        raise UsageError(f"there is no folder of recipes at {folder}; run kdbench from the project's root")
    tables: dict[str, Table] = {}
    for path in sorted(folder.glob("*/*.yaml")):
        shown = str(path.relative_to(folder.parent))
        table = read_table(path, shown)
        if table.name in tables:
            raise RecipeError(f"{shown}:1: table {table.name!r} is also defined in {tables[table.name].file.name}")
        tables[table.name] = table
    library = Library(tables)
    for stage in _stages(library):
        _check_acyclic(library, stage, ())
    return library


def _stages(library: Library) -> Iterator[Stage]:
    for table in library.tables.values():
        for row in table.rows.values():
            yield from row.stages


def _check_acyclic(library: Library, stage: Stage, path: tuple[Stage, ...]) -> None:
    if stage in path:
        raise RecipeError(
            f"{stage.where}: this run takes from itself: {' takes from '.join(s.where for s in (*path, stage))}"
        )
    for ref in (stage.teacher, stage.init):
        if ref is not None:
            _check_acyclic(library, library.stage(ref), (*path, stage))
