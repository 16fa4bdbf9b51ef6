"""kdbench from Python, as in a notebook: :func:`plan`, :func:`run`, :func:`report`, :func:`export` and :func:`load`.

Each looks for the project from the current folder upwards, as the commands do.
"""

from collections.abc import Sequence
from pathlib import Path

from bench.cli import work
from bench.cli.progress import tell_left_out, tell_unreadable, watcher
from bench.executors.choose import num_at_once
from bench.export import folder as exports
from bench.export.folder import About, load
from bench.graph import Run
from bench.pace import Session
from bench.profiles import Profile
from bench.project import Project, select
from bench.record import Record
from bench.report.model import Report
from bench.report.table import build
from bench.run import walk
from bench.todo import left_out, measurable, todo
from bench.train import device as devices

__all__ = ["export", "load", "plan", "report", "run"]


def plan(name: str, profile: Profile, *, rows: Sequence[str] = (), seeds: Sequence[int] = ()) -> list[Run]:
    """Every run that a table (or one run, ``TABLE/ROW#SEED``) needs, sources before what takes from them.

    Args:
        name: of a table, or of a run.
        profile: paper, short, smoke or smoke-real.
        rows: only these; none means all.
        seeds: only these; none means all.

    Raises:
        UsageError: there is no such table, row, seed or run.
    """
    return [*select(Project.find().library(), name, profile, rows, seeds).needed]


def run(
    name: str,
    profile: Profile,
    *,
    rows: Sequence[str] = (),
    seeds: Sequence[int] = (),
    data: Path | None = None,
    device: str | None = None,
    at_once: int = 1,
) -> list[Record]:
    """Train what is missing, as ``kdbench run`` does; the records of the runs that were named.

    Args:
        name: of a table, or of a run.
        profile: paper, short, smoke or smoke-real.
        rows: only these; none means all.
        seeds: only these; none means all.
        data: the folder of data sets; else KDBENCH_DATA, else ``data/`` in the project.
        device: cpu, cuda, ...; else CUDA where present.
        at_once: how many runs at a time. More than one on a CPU takes processes, and so a script whose own work stands
            below ``if __name__ == "__main__"``.

    Raises:
        KeyboardInterrupt: it was stopped; the same call resumes from the last checkpoint.
        KdbenchError: anything that a person can mend.
    """
    project, chosen_device = Project.find(data), devices.choose(device)
    library, store, costs = project.library(), project.store(), project.costs()
    chosen = select(library, name, profile, rows, seeds)
    tell_unreadable(library, [chosen.table])
    runs = todo(chosen.needed, store)
    measured = measurable(chosen.graph, runs, store)
    tell_left_out(left_out(chosen.needed, store))
    if runs or measured:
        each = num_at_once(at_once, chosen_device, len(runs))
        executor = work.begin(project, store, costs, chosen.needed, runs, [chosen_device], each)
        with watcher(Session([*runs, *measured], costs, library)) as watch:
            summary = walk([*runs, *measured], executor, watch)
        if summary.ended == "interrupted":
            raise KeyboardInterrupt
    return [record for run in chosen.asked if (record := store.current_record(run)) is not None]


def report(table: str, profile: Profile = "paper") -> Report:
    """A table beside its reproduction; another profile than ``paper`` is shown apart, in ``smaller``.

    :func:`bench.report.render.render` writes it in each of its formats.
    """
    project = Project.find()
    smaller = None if profile == "paper" else profile
    return build(project.library(), table, project.store(), project.costs(), smaller=smaller)


def export(name: str, to: str | Path, profile: Profile = "paper") -> About:
    """Write the network of a run, ``TABLE/ROW#SEED``, with a model card into a new folder; :func:`load` reads it.

    Raises:
        UsageError: there is no such run, its weights are not here (the message says what makes them), or the folder is
            taken.
    """
    return exports.export(Project.find(), name, profile, Path(to))
