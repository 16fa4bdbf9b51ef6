"""``kdbench run --again`` and ``kdbench verify --again``: runs that have a record are trained again, beside it."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from bench.cli.interrupts import interruptible
from bench.cli.output import needs_a_reader
from bench.cli.progress import duration, tell_unreadable, title, watcher
from bench.cli.work import begin, end_if_interrupted
from bench.cost import images_of
from bench.errors import StoreError, UsageError
from bench.executors.choose import num_at_once
from bench.executors.processes import cores
from bench.graph import Run, plan
from bench.methods.base import Synthesiser
from bench.pace import Session
from bench.profiles import Profile
from bench.project import Project, select
from bench.recipe import Library
from bench.record import Record
from bench.report.reproduction import Reproduction, compare, same_recipe
from bench.rng import generator
from bench.run import walk
from bench.store import Store
from bench.todo import recorded_seconds, with_missing_sources
from bench.train import device as devices


@needs_a_reader()
def run(
    name: str,
    profile: Profile,
    rows: Sequence[str],
    seeds: Sequence[int],
    data: Path | None,
    device_name: str | None,
    at_once: int | None,
) -> None:
    """Train what was named again, and say how it compares with its first record."""
    project, found = Project.find(data), devices.choose_all(device_name)
    library, store = project.library(), project.store()
    chosen = select(library, name, profile, rows, seeds)
    tell_unreadable(library, [chosen.table])
    _train(project, library, store, chosen.asked, found, at_once)


@needs_a_reader()
def verify(count: int, seed: int | None, data: Path | None) -> None:
    """Train a sample of the recorded runs again; StoreError if one is not reproduced."""
    project, found = Project.find(data), devices.choose_all(None)
    library, store = project.library(), project.store()
    prices = _prices(library, store, project)
    if not prices:
        raise UsageError("no recorded run can be trained again here: its data, or the record of a source, is not here")
    known = sorted(prices, key=lambda run: (prices[run], run.id))
    if seed is not None:
        known = [known[i] for i in generator(seed, "verify").permutation(len(known))]
    sample = known[:count]
    how = "the cheapest" if seed is None else f"drawn with seed {seed}"
    took = duration(sum(prices[run] for run in sample))
    print(f"{len(sample)} of {len(prices)} recorded runs whose data are here, {how}; they took {took}")
    outcomes = _train(project, library, store, sample, found, None)
    faults = [f"{title(run)}: {o.word}: {o.reason}" for run, o in outcomes if o.word == "not reproduced"]
    if faults:
        raise StoreError("\n".join(faults))
    same = sum(outcome.word == "reproduced bit for bit" for _, outcome in outcomes)
    print(f"{same} reproduced bit for bit, {len(outcomes) - same} within noise, {len(sample) - len(outcomes)} left out")


def _prices(library: Library, store: Store, project: Project) -> dict[Run, float]:
    """Of each run that is recorded as done and whose data are here, the seconds that are on record."""
    profiles: tuple[Profile, ...] = ("paper", "short")
    runs = (run for p in profiles for run in plan(library, library.tables, p).runs.values() if run.kind != "evaluate")
    prices = dict[Run, float]()
    for run in runs:
        needed = with_missing_sources([run], store)  # itself among them
        seconds = [s for one in needed if (s := recorded_seconds(one, store)) is not None]
        if len(seconds) == len(needed) and all(project.has_data(one.stage.data.set) for one in needed):
            prices[run] = sum(seconds)
    return prices


def _train(
    project: Project,
    library: Library,
    store: Store,
    runs: Sequence[Run],
    found: Sequence[torch.device],
    at_once: int | None,
) -> list[tuple[Run, Reproduction]]:
    """Train runs again, with the sources whose weights are gone; a line for each that had a record."""
    firsts = {run.key: record for run in runs if (record := store.latest_record(run)) is not None}
    needed = with_missing_sources(runs, store)
    usual = _threads_as_before(firsts.values(), found[0])
    each = num_at_once(at_once or usual, found[0], -(-len(needed) // len(found)))
    costs = project.costs()
    executor = begin(project, store, costs, needed, needed, found, each)
    with interruptible(executor), watcher(Session(needed, costs, library)) as watch:
        summary = walk(needed, executor, watch)
    end_if_interrupted(summary)
    made = {record.key: record for record in summary.records}
    outcomes = list[tuple[Run, Reproduction]]()
    for run in (run for run in runs if run.key in made):
        first, record = firsts.get(run.key), made[run.key]
        if first is None:
            print(f"{title(run)}: had no record to compare with")
            continue
        tested = run.stage.method.count if isinstance(run.stage.method, Synthesiser) else images_of(run, "test")
        outcome = compare(first, record, same_recipe(first, store.by_stem.values()), tested)
        print(f"{title(run)}: {outcome.word}: {outcome.reason}")
        outcomes.append((run, outcome))
    return outcomes


def _threads_as_before(firsts: Iterable[Record], device: torch.device) -> int | None:
    """Have as many threads as the first records, if they agree: only with these are a CPU's bits the same.

    How many runs there are then at a time; None leaves that to the device.
    """
    before = {devices.threads_of(record.device) for record in firsts}
    threads = before.pop() if len(before) == 1 else None
    if device.type != "cpu" or threads is None or threads > cores():
        return None
    torch.set_num_threads(threads)
    return max(1, cores() // threads)
