"""Where recipes, results and data lie."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.errors import UsageError
from bench.graph import Run, plan
from bench.profiles import Profile
from bench.recipe import Library, load
from bench.registry import SETS
from bench.schema import nearest
from bench.store import Store

_RUN = re.compile(r"([^/#]+)/([^/.#]+)(?:\.([^/.#]+))?#(\d+)")


@dataclass(frozen=True)
class Place:
    """A project folder: the current one if it has recipes, else the checkout that kdbench was installed from."""

    root: Path
    data: Path
    data_was_named: bool

    @classmethod
    def find(cls, data: Path | None) -> "Place":
        """``data`` is what ``--data`` said; else KDBENCH_DATA; else ``data/`` in the project."""
        here = Path.cwd()
        root = here if (here / "recipes").is_dir() else Path(__file__).parents[2]
        named = data or (Path(os.environ["KDBENCH_DATA"]) if os.environ.get("KDBENCH_DATA") else None)
        return cls(root, named or root / "data", named is not None)

    @property
    def results(self) -> Path:
        """The folder of records, tables and figures."""
        return self.root / "results"

    def library(self) -> Library:
        """All recipes."""
        return load(self.root / "recipes")

    def store(self) -> Store:
        """All records."""
        return Store(self.results)

    def absent(self, name: str) -> bool:
        """Whether a data set is not in the data folder."""
        return not SETS[name].available(self.data)


def chosen(library: Library, name: str, profile: Profile, absent: Callable[[str], bool]) -> Run:
    """The run that a person names as ``TABLE/ROW[.STAGE]#SEED``, of the row's last stage if no other.

    Raises:
        UsageError: that is no name, or of no run.
    """
    match = _RUN.fullmatch(name)
    if match is None:
        raise UsageError(f"{name!r} names no run; write TABLE/ROW#SEED, as in efficiency/mnist-teacher#1")
    table, row, stage, seed = match.groups()
    graph = plan(library, [table], profile, rows=[row], seeds=[int(seed)], absent=absent)
    last = graph.rows.get((table, row), {}).get(int(seed))
    if last is None:
        raise UsageError(f"row {row!r} of {table} has no run of seed {seed}")
    earlier = {run.stage.name: run for run in graph.runs.values() if run.name == f"{table}/{row}.{run.stage.name}"}
    stages = {**earlier, last.stage.name: last}
    if stage and stage not in stages:
        raise UsageError(f"row {row!r} of {table} has no stage {stage!r}; {nearest(stage, stages)}")
    return stages[stage] if stage else last


def default_profile(device: str | None) -> Profile:
    """The real thing where a GPU makes it possible, elsewhere what a person can wait for; asks torch."""
    from bench.train.device import choose

    return "paper" if choose(device).type == "cuda" else "smoke"
