"""The commands that train, time or fetch; torch is imported here."""

from collections.abc import Sequence
from pathlib import Path

import typer
from rich.console import Console

from bench import pack
from bench.cli.place import Place
from bench.cli.progress import duration, watcher
from bench.cost import Costs, training_flops
from bench.data import datasets
from bench.executors.estimate import measure, workloads
from bench.executors.local import Local
from bench.graph import Graph, Profile, Run, plan
from bench.registry import SETS
from bench.run import Summary, todo, walk
from bench.store import Record, Store
from bench.train import device as devices

PACK_SECONDS = 15.0


def run(
    table: str,
    profile: Profile | None,
    rows: Sequence[str],
    seeds: Sequence[int],
    data: Path | None,
    device: str | None,
    *,
    dry_run: bool,
    retry_diverged: bool,
) -> None:
    """Train what is missing of a table; with ``dry_run`` only say what that is."""
    place, console = Place.find(data), Console()
    where = devices.choose(device)
    reached: Profile = profile or ("paper" if where.type == "cuda" else "smoke")
    library, store = place.library(), place.store()
    graph = plan(library, [table], reached, rows=rows, seeds=seeds, absent=place.absent)
    runs = todo(graph.runs.values(), store, retry_diverged=retry_diverged)
    if dry_run:
        _print_graph(console, graph, runs, store)
        return
    _banner(console, place, graph, reached, len(runs), devices.name(where))
    costs = Costs.read(place.results / "costs.json")
    executor = Local(store, costs, place.data, download=reached != "smoke" and not place.data_was_named, where=where)
    with watcher(console) as watch:
        summary = walk(runs, executor, watch)
    if summary.ended == "interrupted":
        _say(console, "stopped; what was finished is kept, and the same command goes on from the last checkpoint")
        raise typer.Exit(130)
    if reached != "paper":
        _full_price(console, plan(library, [table], "paper", rows=rows, seeds=seeds), store, costs, summary)


def _print_graph(console: Console, graph: Graph, runs: Sequence[Run], store: Store) -> None:
    waiting = {run.key for run in runs}
    for run in graph.runs.values():
        record = store.current(run)
        state = "to run" if run.key in waiting else record.status if record else "waits"
        if record and run.key in waiting:
            state = "again "
        taken = "".join(f"  {edge}: {source.name} seed {source.seed}" for edge, source in run.sources.items())
        _say(console, f"{state:7} {run.id}  {run.name} seed {run.seed}{taken}")
    _say(console, f"{len(graph.runs) - len(runs)} done, {len(runs)} to run")


def _banner(console: Console, place: Place, graph: Graph, profile: Profile, count: int, device: str) -> None:
    sets = {run.stage.data.set for run in graph.runs.values()}
    _say(console, f"profile {profile} on {device}: {count} of {len(graph.runs)} runs to train")
    made = sorted(name for name in sets if name.startswith("synthetic"))
    if made:
        _say(
            console,
            f"NOTE: no data set in {place.data}, so this trains on MADE-UP images ({', '.join(made)}). The errors show"
            " that everything works and say nothing about the paper. `kdbench prepare cifar10 cifar100` fetches the"
            " real sets.",
        )


def _full_price(console: Console, graph: Graph, store: Store, costs: Costs, summary: Summary) -> None:
    """What the paper profile would take here, at the rate at which these runs went."""
    missing = [training_flops(run, costs) or 0 for run in todo(graph.runs.values(), store)]
    seconds = sum(record.seconds for record in summary.records)
    done = sum(record.flops or 0 for record in summary.records)
    at_rate = f", about {duration(sum(missing) / done * seconds)} on this machine" if done else ""
    _say(
        console,
        f"the paper profile has {len(missing)} runs to train, {sum(missing):.2g} FLOPs{at_rate};"
        " `kdbench estimate` times it properly",
    )


def estimate(table: str, profile: Profile, rows: Sequence[str], device: str | None) -> None:
    """Print time, memory and FLOPs of what is missing of a table, from a few timed steps on this machine."""
    place, console = Place.find(None), Console()
    where, library, store = devices.choose(device), place.library(), place.store()
    costs = Costs.read(place.results / "costs.json")
    runs = todo(plan(library, [table], profile, rows=rows).runs.values(), store)
    _say(console, f"profile {profile} on {devices.name(where)}: {len(runs)} runs to train")
    total, flops, memory = 0.0, 0, 0
    _say(
        console,
        f"{'runs':>4}  {'ms a step':>9}  {'a run':>9}  {'all runs':>9}  {'memory':>9}  {'FLOPs a run':>11}  what",
    )
    for title, own in workloads(runs).items():
        took = measure(own[0], where)
        all_runs = took.seconds * len(own)
        each = training_flops(own[0], costs) or 0
        total, flops, memory = total + all_runs, flops + each * len(own), max(memory, took.memory)
        _say(
            console,
            f"{len(own):4}  {1e3 * took.step:9.1f}  {duration(took.seconds):>9}  {duration(all_runs):>9}"
            f"  {took.memory / 2**20:6.0f} MB  {each:11.2e}  {title}",
        )
    _say(console, f"in all {duration(total)}, {flops:.2e} FLOPs, at most {memory / 2**20:.0f} MB at a time")


def prepare(sets: Sequence[str], data: Path | None) -> None:
    """Fetch what is missing into the data folder, and check every set's fingerprint."""
    place, console = Place.find(data), Console()
    for name in sets:
        had = not place.absent(name)
        images = datasets.load(name, place.data, download=not had)
        _say(
            console,
            f"{name}: {len(images.train_y)} training and {len(images.test_y)} test images,"
            f" {'found in' if had else 'fetched into'} {place.data}, fingerprint {SETS[name].fingerprint} as published",
        )


def gpu(
    budget: float, out: Path, tables: Sequence[str], profile: Profile, data: Path | None, device: str | None
) -> None:
    """Run the most valuable missing runs within a budget of seconds, then pack records, weights and checkpoints."""
    place, console = Place.find(data), Console()
    where, library, store = devices.choose(device), place.library(), place.store()
    taken = pack.unpack(store, out)
    graph = plan(library, tables or library.tables, profile, absent=place.absent)
    runs = [run for run in todo(graph.by_value(), store) if not place.absent(run.stage.data.set)]
    _say(console, f"profile {profile} on {devices.name(where)}, {budget:.0f} s: {len(runs)} runs to train")
    without = sorted({run.stage.data.set for run in graph.runs.values() if place.absent(run.stage.data.set)})
    if without:
        _say(console, f"left out, for lack of data in {place.data}: {', '.join(without)}")
    executor = Local(store, Costs.read(place.results / "costs.json"), place.data, download=False, where=where)
    with watcher(console) as watch:
        summary = walk(runs, executor, watch, seconds=budget, reserve=min(PACK_SECONDS, budget / 10))
    parts = pack.pack(store, _worth_packing(graph, store, taken, summary.records), out)
    size = sum(part.stat().st_size for part in parts) / 2**20
    _say(console, f"{len(summary.records)} runs done, {len(summary.left)} left; {size:.1f} MiB in {out}")
    if summary.ended != "done":
        _say(console, f"{summary.ended}: the same command goes on from there")


def _worth_packing(graph: Graph, store: Store, taken: Sequence[Path], records: Sequence[Record]) -> set[Path]:
    """Records of this call and of those before it, checkpoints, and the weights that a run still to come will take."""
    left = todo(graph.runs.values(), store)
    files = {path for path in taken if path.parent.name == "runs"}
    files |= {store.root / "runs" / f"{record.stem}.json" for record in records}
    files |= {path for path in map(store.checkpoint, left) if path.is_file()}
    sources = [store.usable(source) for run in left for source in run.sources.values()]
    return files | {found[1] for found in sources if found is not None and found[1].parent.name == "artifacts"}


def collect(folder: Path) -> None:
    """Take in what another machine packed."""
    place, console = Place.find(None), Console()
    if not folder.is_dir():
        raise typer.BadParameter(f"there is no folder {folder}")
    store = place.store()
    known = set((store.root / "runs").glob("*.json"))
    taken = [path for path in pack.unpack(store, folder) if path.parent.name == "runs"]
    _say(console, f"{len(taken)} records in {folder}, {len(set(taken) - known)} of them new in {place.results}")


def _say(console: Console, text: str) -> None:
    console.print(text, soft_wrap=True, highlight=False, markup=False)
