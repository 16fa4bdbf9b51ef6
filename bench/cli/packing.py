"""``kdbench gpu`` and ``kdbench collect``: results from a machine that is at hand for minutes, brought home."""

from collections.abc import Sequence
from pathlib import Path

from bench import pack
from bench.cli.folders import make_ready, make_writable
from bench.cli.interrupts import TERMINATED, interruptible, stop
from bench.cli.output import needs_a_reader
from bench.cli.progress import tell_left_out, tell_unreadable, watcher
from bench.errors import UsageError
from bench.executors.choose import make_executor, num_at_once
from bench.graph import Graph, plan
from bench.pace import Session
from bench.profiles import Profile
from bench.project import Project
from bench.run import walk
from bench.store import Store
from bench.todo import left_out, measurable, todo
from bench.train import device as devices

PACK_SECONDS = 15.0


@needs_a_reader()
def gpu(
    budget: float,
    out: Path,
    tables: Sequence[str],
    profile: Profile,
    data: Path | None,
    device_name: str | None,
    at_once: int | None = None,
) -> None:
    """Run the missing runs of highest priority within a budget of seconds, then pack records, weights, checkpoints."""
    project = Project.find(data)
    found, library, store = devices.choose_all(device_name), project.library(), project.store()
    make_ready(project.results)
    make_writable(out)
    unpacked = [taken.path for taken in pack.unpack(store, out)]
    names = tables or list(library.tables)
    graph = plan(library, names, profile)
    tell_unreadable(library, names)
    runs = todo(graph.by_priority(), store)
    runs = [run for run in [*runs, *measurable(graph, runs, store)] if project.has_data(run.stage.data.set)]
    named = f"{len(found)} x {devices.name(found[0])}" if len(found) > 1 else devices.name(found[0])
    print(f"profile {profile} on {named}, {budget:.0f} s: {len(runs)} runs to train")
    tell_left_out(left_out(graph.by_priority(), store))
    without = sorted({run.stage.data.set for run in graph.runs.values() if not project.has_data(run.stage.data.set)})
    if without:
        print(f"left out, for lack of data in {project.data}: {', '.join(without)}; name their folder with DATA=FOLDER")
    if not runs and without:
        raise UsageError("none of the runs to train has its data here")
    each = num_at_once(at_once or (None if found[0].type == "cuda" else 1), found[0], -(-len(runs) // len(found)))
    costs = project.costs()
    executor = make_executor(store, costs, project.data, found, each, project.plugins)
    known = set((store.root / "runs").glob("*.json")) - set(unpacked)
    try:
        with interruptible(executor), watcher(Session(runs, costs, library)) as watch:
            summary = walk(runs, executor, watch, seconds=budget, reserve=min(PACK_SECONDS, budget / 10))
    finally:
        # Whatever ended the walk: what was computed goes home.
        parts = pack.pack(store, _worth_packing(graph, store, known), out)
    size = sum(part.stat().st_size for part in parts) / 2**20
    print(f"{len(summary.records)} runs done, {len(summary.left)} left; {size:.1f} MiB in {out}")
    resumable = summary.records or any(store.checkpoint(run).is_file() for run in runs)
    if summary.ended == "interrupted":
        stop("interrupted: the same command resumes there")
    if summary.ended == "terminated":
        stop("stopped by SIGTERM, each run at a checkpoint; the same command resumes there", TERMINATED)
    if summary.ended == "out of time":
        print(f"out of time: {'the same command resumes there' if resumable else 'not one epoch fits; raise BUDGET'}")


def _worth_packing(graph: Graph, store: Store, known: set[Path]) -> set[Path]:
    """Records that were not ``known`` at home, checkpoints, and the weights that a run still to come will take."""
    left = todo(graph.runs.values(), store)
    files = set((store.root / "runs").glob("*.json")) - known
    files |= {path for path in map(store.checkpoint, left) if path.is_file()}
    sources = [store.available_artifact(source) for run in left for source in run.sources.values()]
    return files | {
        artifact[1] for artifact in sources if artifact is not None and artifact[1].parent.name == "artifacts"
    }


def collect(folder: Path) -> None:
    """Take in what another machine packed."""
    project = Project.find()
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}")
    if not (folder / pack.MANIFEST).is_file():
        raise UsageError(f"{folder} has nothing that `make gpu` packed: there is no {pack.MANIFEST}")
    unpacked = pack.unpack(project.store(), folder)
    for taken in unpacked:
        if taken.note:
            print(f"{taken.path.parent.name}/{taken.path.name}: {taken.note}")
    records = [taken for taken in unpacked if taken.path.parent.name == "runs"]
    new = sum(taken.new for taken in records)
    print(f"{len(records)} records in {folder}, {new} of them new in {project.results}")
