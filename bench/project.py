"""Where recipes, plug-ins, results and data lie: a person's own project, beside what kdbench brings along."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench import registry
from bench.counting import Costs
from bench.errors import UsageError
from bench.graph import Graph, Run, plan
from bench.profiles import Profile
from bench.recipe import Library, load
from bench.schema import nearest
from bench.store import Store

_RUN = re.compile(r"([^/#]+)/([^/.#]+)(?:\.([^/.#]+))?#(\d{1,18})")
_PACKAGE = Path(__file__).parent
# What is brought along: in an installed package a folder of its own, in a checkout the folders beside the package.
SHIPPED = _PACKAGE / "shipped" if (_PACKAGE / "shipped").is_dir() else _PACKAGE.parent


@dataclass(frozen=True)
class Project:
    """A folder with ``recipes/``, ``plugins/`` and ``results/``, none of which must be there."""

    root: Path
    data: Path
    data_was_named: bool

    @classmethod
    def find(cls, data: Path | None = None) -> "Project":
        """The nearest folder, from the current one upwards, that has recipes; else the current one.

        Args:
            data: the folder of data sets; else KDBENCH_DATA says where it is, else it is ``data/`` in the project.
        """
        try:
            here = Path.cwd()
        except FileNotFoundError:
            raise UsageError("the current folder is gone; change to another one") from None
        root = next((folder for folder in (here, *here.parents) if (folder / "recipes").is_dir()), here)
        named = data or (Path(os.environ["KDBENCH_DATA"]) if os.environ.get("KDBENCH_DATA") else None)
        return cls(root, named or root / "data", named is not None)

    @property
    def results(self) -> Path:
        """The folder of records, tables and figures; nothing is ever written elsewhere."""
        return self.root / "results"

    @property
    def shipped_results(self) -> Path | None:
        """What is brought along of them; None where it is the project's own."""
        return None if self._is_shipped else SHIPPED / "results"

    @property
    def _is_shipped(self) -> bool:
        return (self.root / "recipes").is_dir() and (self.root / "recipes").samefile(SHIPPED / "recipes")

    @property
    def plugins(self) -> Path:
        """The folder of the project's own plug-ins; a process that unpickles runs needs to load them first."""
        return self.root / "plugins"

    def load_plugins(self) -> None:
        """Take in the project's plug-ins."""
        registry.load_plugins(self.plugins)

    def library(self) -> Library:
        """All recipes, the project's own beside those that are brought along; its plug-ins are taken in first."""
        self.load_plugins()
        own = [self.root / "recipes"] if (self.root / "recipes").is_dir() and not self._is_shipped else []
        return load(SHIPPED / "recipes", *own)

    def store(self) -> Store:
        """All records."""
        return Store(self.results, self.shipped_results)

    def costs(self) -> Costs:
        """All counted networks."""
        shipped = self.shipped_results
        return Costs.read(self.results / "costs.json", shipped and shipped / "costs.json")

    def has_data(self, set_name: str) -> bool:
        """Whether a data set is in the data folder."""
        return registry.SETS[set_name].available(self.data)


@dataclass(frozen=True)
class Selection:
    """What a person named of a table.

    Args:
        table: its name.
        rows: the rows that were named; none means all.
        seeds: the seeds that were named; none means all.
        graph: the plan.
        asked: the runs that were named: the last stage of rows, or one stage.
    """

    table: str
    rows: Sequence[str]
    seeds: Sequence[int]
    graph: Graph
    asked: Sequence[Run]

    @property
    def needed(self) -> Sequence[Run]:
        """Every run of the plan, sources before what takes from them."""
        return [*self.graph.runs.values()]

    def share(self, number: int, count: int) -> "Selection":
        """Share ``number`` of ``count`` (from 1), with all sources of what is in it: two shares may name the same run.

        A share depends on the plan alone, not on what of it is done.
        """
        mine = self.needed[number - 1 :: count]
        keys = {run.key for run in mine}
        return replace(self, graph=self.graph.part_of(*mine), asked=[run for run in self.asked if run.key in keys])


def select(
    library: Library, name: str, profile: Profile, rows: Sequence[str] = (), seeds: Sequence[int] = ()
) -> Selection:
    """Some rows and seeds of the table ``name``; or one run, whose name is ``TABLE/ROW[.STAGE]#SEED``.

    Raises:
        UsageError: there is no such table, row, seed or run; or rows and seeds are given for a run.
    """
    if "/" not in name and "#" not in name:
        graph = plan(library, [name], profile, rows=rows, seeds=seeds)
        asked = [run for by_seed in graph.rows.values() for run in by_seed.values()]
        return Selection(name, rows, seeds, graph, asked)
    if rows or seeds:
        raise UsageError(f"{name!r} names one run: --row and --seed go with the name of a table")
    graph, run = _plan_of(library, name, profile)
    table, row, _, seed = _parts(name)
    return Selection(table, [row], [seed], graph.part_of(run), [run])


def resolve_run(library: Library, name: str, profile: Profile) -> Run:
    """The run that a person names as ``TABLE/ROW[.STAGE]#SEED``, of the row's last stage if no other.

    Raises:
        UsageError: that is no name, or of no run.
    """
    return _plan_of(library, name, profile)[1]


def _plan_of(library: Library, name: str, profile: Profile) -> tuple[Graph, Run]:
    """The graph that a run is planned in, and the run."""
    table, row, stage, seed = _parts(name)
    seeds = library.table(table).rows[row].seeds if row in library.table(table).rows else ()
    # A stage may have a seed of its own, which is none of its row's.
    graph = plan(library, [table], profile, rows=[row], seeds=[] if stage and seed not in seeds else [seed])
    if why := library.unreadable.get((table, row)):
        raise UsageError(f"row {row!r} of {table} cannot be read: {why}")
    last = graph.rows.get((table, row), {})
    if not last or (not stage and seed not in last):
        raise UsageError(f"row {row!r} of {table} has no run of seed {seed}")
    earlier = [run for run in graph.runs.values() if run.name == f"{table}/{row}.{run.stage.name}"]
    stages = {(run.stage.name, run.seed): run for run in (*earlier, *last.values())}
    wanted = stage or last[seed].stage.name
    if wanted not in {name for name, _ in stages}:
        raise UsageError(f"row {row!r} of {table} has no stage {stage!r}; {nearest(wanted, {s for s, _ in stages})}")
    if (wanted, seed) not in stages:
        raise UsageError(f"stage {stage!r} of row {row!r} of {table} has no run of seed {seed}")
    return graph, stages[wanted, seed]


def _parts(name: str) -> tuple[str, str, str | None, int]:
    """Table, row, stage if one is named, and seed."""
    match = _RUN.fullmatch(name)
    if match is None:
        raise UsageError(f"{name!r} names no run; write TABLE/ROW#SEED, as in efficiency/mnist-teacher#1")
    return match[1], match[2], match[3], int(match[4])


def no_weights(run: Run, store: Store) -> UsageError:
    """What is said where the weights, or the images, of a run are not here: the one command that makes them."""
    record, shown = store.current_record(run), f"{run.name}#{run.seed}"
    if record is not None and record.status == "diverged":
        return UsageError(f"{shown} diverged, and left nothing")
    return UsageError(f"what {shown} left is not here; `{training_command(run, store)}` trains it")


def training_command(run: Run, store: Store) -> str:
    """The command that trains one run: again, where it has a record."""
    again = store.current_record(run) is not None
    # Again is in the paper profile, if not said otherwise; without it, the default depends on the machine.
    profile = "" if again and run.profile == "paper" else f" --profile {run.profile}"
    return f"kdbench run {'--again ' if again else ''}{run.name}#{run.seed}{profile}"
