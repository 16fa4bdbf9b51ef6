"""``make gpu`` and ``make collect``: results from a machine that is at hand for minutes, brought home in one folder.

``python -m bench.cli.gpu`` is the same as ``kdbench gpu``, for a machine where nothing can be installed: it needs
torch, numpy, PyYAML, safetensors and filelock.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import pack
from bench.cli.progress import tell_unreadable, watcher
from bench.errors import KdbenchError, UsageError
from bench.executors.choose import make_executor, num_at_once
from bench.graph import Graph, plan
from bench.profiles import PROFILES, Profile
from bench.project import Project
from bench.run import todo, walk
from bench.store import Store
from bench.train import device as devices

PACK_SECONDS = 15.0


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
    unpacked = pack.unpack(store, out)
    names = tables or list(library.tables)
    graph = plan(library, names, profile)
    tell_unreadable(library, names)
    runs = [run for run in todo(graph.by_priority(), store) if project.has_data(run.stage.data.set)]
    named = f"{len(found)} x {devices.name(found[0])}" if len(found) > 1 else devices.name(found[0])
    print(f"profile {profile} on {named}, {budget:.0f} s: {len(runs)} runs to train")
    without = sorted({run.stage.data.set for run in graph.runs.values() if not project.has_data(run.stage.data.set)})
    if without:
        print(f"left out, for lack of data in {project.data}: {', '.join(without)}; name their folder with DATA=FOLDER")
    if not runs and without:
        raise UsageError("none of the runs to train has its data here")
    each = num_at_once(at_once or (None if found[0].type == "cuda" else 1), found[0], -(-len(runs) // len(found)))
    executor = make_executor(store, project.costs(), project.data, found, each, project.plugins)
    known = set((store.root / "runs").glob("*.json")) - set(unpacked)
    try:
        with watcher() as watch:
            summary = walk(runs, executor, watch, seconds=budget, reserve=min(PACK_SECONDS, budget / 10))
    finally:
        # Whatever ended the walk: what was computed goes home.
        parts = pack.pack(store, _worth_packing(graph, store, known), out)
    size = sum(part.stat().st_size for part in parts) / 2**20
    print(f"{len(summary.records)} runs done, {len(summary.left)} left; {size:.1f} MiB in {out}")
    if summary.ended != "done":
        resumable = summary.records or any(store.checkpoint(run).is_file() for run in runs)
        print(
            f"{summary.ended}: {'the same command resumes there' if resumable else 'not one epoch fits; raise BUDGET'}"
        )


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
    if not any(pack.parts_of(folder, name) for name in (pack.RECORDS, pack.OTHERS)):
        raise UsageError(f"{folder} has nothing that `make gpu` packed ({pack.RECORDS}.00, {pack.OTHERS}.00, ...)")
    store = project.store()
    known = set((store.root / "runs").glob("*.json"))
    unpacked = [path for path in pack.unpack(store, folder) if path.parent.name == "runs"]
    # One that was brought along with kdbench is not written again.
    new = [path for path in unpacked if path.is_file() and path not in known]
    print(f"{len(unpacked)} records in {folder}, {len(new)} of them new in {project.results}")


def parser() -> argparse.ArgumentParser:
    """The options of ``kdbench gpu``, read without typer, which a bare machine does not have."""
    parser = argparse.ArgumentParser(
        prog="kdbench gpu",
        description="Run as many missing runs as fit in a time budget, the highest priority first, and pack what came"
        " out: records, checkpoints, and the weights that runs to come will take.",
    )
    parser.add_argument("--budget", type=float, default=540, help="seconds there are, packing included [540]")
    parser.add_argument(
        "--out", type=Path, default=Path("build/gpu"), help="folder of the pack, unpacked first [build/gpu]"
    )
    parser.add_argument("--table", action="append", default=[], help="only this table (may be repeated)")
    parser.add_argument("--profile", choices=PROFILES, default="paper", help="[paper]")
    parser.add_argument("--data", type=Path, help="folder with the data sets; else KDBENCH_DATA, else data/")
    parser.add_argument("--device", help="cpu, cuda, cuda:1, ...; else every GPU of the machine, where there is one")
    parser.add_argument(
        "--at-once", type=_positive, help="runs side by side on each device, at most [4 on a GPU, else 1]"
    )
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def command(arguments: Sequence[str]) -> None:
    """``kdbench gpu`` with its options."""
    options = parser().parse_args(arguments)
    gpu(options.budget, options.out, options.table, options.profile, options.data, options.device, options.at_once)


def main() -> None:
    """The same where nothing is installed."""
    try:
        command(sys.argv[1:])
    except KdbenchError as error:
        print(f"kdbench: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
