"""Where recipes, plug-ins, results and data lie: a person's own project, beside what kdbench brings along."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from bench import registry
from bench.cost import Costs
from bench.errors import UsageError
from bench.graph import Run, plan
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


def resolve_run(library: Library, name: str, profile: Profile) -> Run:
    """The run that a person names as ``TABLE/ROW[.STAGE]#SEED``, of the row's last stage if no other.

    Raises:
        UsageError: that is no name, or of no run.
    """
    match = _RUN.fullmatch(name)
    if match is None:
        raise UsageError(f"{name!r} names no run; write TABLE/ROW#SEED, as in efficiency/mnist-teacher#1")
    table, row, stage, seed = match.groups()
    graph = plan(library, [table], profile, rows=[row], seeds=[int(seed)])
    if why := library.unreadable.get((table, row)):
        raise UsageError(f"row {row!r} of {table} cannot be read: {why}")
    last = graph.rows.get((table, row), {}).get(int(seed))
    if last is None:
        raise UsageError(f"row {row!r} of {table} has no run of seed {seed}")
    earlier = {run.stage.name: run for run in graph.runs.values() if run.name == f"{table}/{row}.{run.stage.name}"}
    stages = {**earlier, last.stage.name: last}
    if stage and stage not in stages:
        raise UsageError(f"row {row!r} of {table} has no stage {stage!r}; {nearest(stage, stages)}")
    return stages[stage] if stage else last
