"""The commands that train, time or fetch; torch is imported here."""

import sys
from collections.abc import Sequence
from pathlib import Path

from bench.cli.place import Place
from bench.cli.progress import duration, watcher
from bench.cost import Costs, training_flops
from bench.data import datasets
from bench.errors import UsageError
from bench.executors import estimate as estimates
from bench.executors.choose import make_executor, num_at_once
from bench.graph import Graph, Run, plan
from bench.profiles import Profile
from bench.registry import SETS
from bench.run import todo, walk
from bench.schema import nearest
from bench.store import Record, Store
from bench.train import device as devices


def run(
    table: str,
    profile: Profile,
    rows: Sequence[str],
    seeds: Sequence[int],
    data: Path | None,
    device: str | None,
    *,
    retry_diverged: bool,
    at_once: int | None,
) -> None:
    """Train what is missing of a table."""
    place = Place.find(data)
    where = devices.choose(device)
    library, store = place.library(), place.store()
    graph = plan(library, [table], profile, rows=rows, seeds=seeds, absent=place.absent)
    runs = todo(graph.runs.values(), store, retry_diverged=retry_diverged)
    side_by_side = num_at_once(at_once, where, len(runs))
    costs = Costs.read(place.results / "costs.json")
    executor = make_executor(store, costs, place.data, where, side_by_side)
    _banner(place, graph, profile, len(runs), devices.name(where), side_by_side)
    if profile != "smoke" and not place.data_was_named:
        fetch(place, runs)
    with watcher() as watch:
        summary = walk(runs, executor, watch)
    if summary.ended == "interrupted":
        print("stopped; what was finished is kept, and the same command goes on from the last checkpoint")
        sys.exit(130)
    shown = "" if profile == "paper" else f" --profile {profile}"
    print(f"`kdbench report {table}{shown}` prints the table")
    if profile != "paper":
        records = [record for run in graph.runs.values() if (record := store.current(run)) is not None]
        here = [record for record in records if record.device == devices.name(where)]
        _full_price(plan(library, [table], "paper", rows=rows, seeds=seeds), store, costs, here, side_by_side)


def fetch(place: Place, runs: Sequence[Run]) -> None:
    """Download what is missing before any run begins, so that no two of them do."""
    for name in sorted({run.stage.data.set for run in runs}):
        if place.absent(name):
            datasets.load(name, place.data, download=True)


def _banner(place: Place, graph: Graph, profile: Profile, count: int, device: str, side_by_side: int) -> None:
    sets = {run.stage.data.set for run in graph.runs.values()}
    beside = f", {side_by_side} at a time" if side_by_side > 1 else ""
    print(f"profile {profile} on {device}: {count} of {len(graph.runs)} runs to train{beside}")
    made = sorted(name for name in sets if SETS[name].made)
    if made:
        print(
            f"NOTE: no data set in {place.data}, so this trains on MADE-UP images ({', '.join(made)}). The errors show"
            " that everything works and say nothing about the paper. `kdbench prepare cifar10 cifar100` fetches the"
            " real sets.",
        )


def _full_price(graph: Graph, store: Store, costs: Costs, here: Sequence[Record], side_by_side: int) -> None:
    """What the paper profile would take, at the rate at which the records of this machine were made."""
    runs = todo(graph.runs.values(), store)
    if not runs:
        print("the paper profile has nothing left to train here")
        return
    flops = sum(training_flops(run, costs) or 0 for run in runs)
    done, seconds = sum(record.flops or 0 for record in here), sum(record.seconds for record in here) / side_by_side
    at_rate = f", {flops:.2g} FLOPs, about {duration(flops / done * seconds)} on this machine" if done else ""
    print(f"the paper profile has {len(runs)} runs to train{at_rate}; `kdbench estimate` times it properly")


def estimate(table: str, profile: Profile, rows: Sequence[str], device: str | None) -> None:
    """Print time and FLOPs of what is missing of a table, from a few timed steps on this machine."""
    place = Place.find(None)
    where, library, store = devices.choose(device), place.library(), place.store()
    costs = Costs.read(place.results / "costs.json")
    runs = todo(plan(library, [table], profile, rows=rows).runs.values(), store)
    print(f"profile {profile} on {devices.name(where)}: {len(runs)} runs to train")
    total, flops = 0.0, 0
    print(f"{'runs':>4}  {'ms a step':>9}  {'a run':>9}  {'all runs':>9}  {'FLOPs a run':>11}  what")
    for title, own in estimates.workloads(runs).items():
        one = estimates.estimate(own[0], where)
        all_runs, each = one.seconds * len(own), training_flops(own[0], costs) or 0
        total, flops = total + all_runs, flops + each * len(own)
        print(
            f"{len(own):4}  {1e3 * one.step:9.1f}  {duration(one.seconds):>9}  {duration(all_runs):>9}"
            f"  {each:11.2e}  {title}",
        )
    print(f"in all {duration(total)}, {flops:.2e} FLOPs")


def prepare(sets: Sequence[str], data: Path | None) -> None:
    """Fetch what is missing into the data folder, and check every set's fingerprint."""
    place = Place.find(data)
    unknown = [name for name in sets if name not in SETS or SETS[name].made]
    if unknown:
        real = [name for name, entry in SETS.items() if not entry.made]
        raise UsageError(f"no data set {unknown[0]!r} to prepare; {nearest(unknown[0], real)}")
    for name in sets:
        had = not place.absent(name)
        images = datasets.load(name, place.data, download=not had)
        print(
            f"{name}: {len(images.train_y)} training and {len(images.test_y)} test images,"
            f" {'found in' if had else 'fetched into'} {place.data}, fingerprint {SETS[name].fingerprint} as published",
        )
