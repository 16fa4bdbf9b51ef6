"""The commands that train, time or fetch; torch is imported here."""

import re
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch

from bench.cli.folders import make_ready
from bench.cli.interrupts import TERMINATED, interruptible, stop
from bench.cli.output import complain, needs_a_reader
from bench.cli.progress import duration, tell_left_out, tell_unreadable, title, watcher
from bench.cli.tables import line
from bench.cost import bytes_of, cost_of, training_flops
from bench.counting import Costs
from bench.errors import CostError, UsageError
from bench.executors import estimate as estimates
from bench.executors.choose import make_executor, num_at_once
from bench.executors.makespan import critical_path, makespan
from bench.export import folder as exports
from bench.graph import Run, plan
from bench.pace import Session
from bench.profiles import Profile
from bench.project import Project, select
from bench.recipe import Table
from bench.record import Record
from bench.registry import SETS
from bench.report.model import Report
from bench.report.needs import needs
from bench.report.table import build
from bench.run import Executor, Summary, walk
from bench.schema import nearest
from bench.store import Store
from bench.todo import left_out, measurable, todo
from bench.train import device as devices


@needs_a_reader()
def run(
    name: str,
    profile: Profile,
    rows: Sequence[str],
    seeds: Sequence[int],
    data: Path | None,
    device_name: str | None,
    *,
    retry_diverged: bool,
    at_once: int | None,
    wait: bool,
    shard: str | None,
    on: str | None,
) -> None:
    """Train what is missing of a table, or of what one run needs; or a share of that."""
    project = Project.find(data)
    found = devices.choose_all(device_name)
    library, store, costs = project.library(), project.store(), project.costs()
    chosen = select(library, name, profile, rows, seeds)
    if shard is not None:
        chosen = chosen.share(*_shard(shard))
    tell_unreadable(library, [chosen.table])
    runs = todo(chosen.needed, store, retry_diverged=retry_diverged)
    each = num_at_once(at_once, found[0], -(-len(runs) // len(found)))
    executor = begin(project, store, costs, chosen.needed, runs, found, at_once or 1 if on else each, on)
    tell_left_out(left_out(chosen.needed, store, retry_diverged=retry_diverged))
    asked = [*runs, *measurable(chosen.graph, runs, store)]
    with interruptible(executor), watcher(Session(asked, costs, library)) as watch:
        summary = walk(asked, executor, watch, wait=wait)
    end_if_interrupted(summary)
    end_if_left_out(chosen.needed, summary, store)
    shown = "" if profile == "paper" else f" --profile {profile}"
    print(f"`kdbench report {chosen.table}{shown}` prints the table")
    if profile != "paper" and on is None:
        records = [record for run in chosen.needed if (record := store.current_record(run)) is not None]
        here = [record for record in records if record.device == devices.name(found[0])]
        paper = select(library, name, "paper", rows, seeds).needed
        _full_price(paper, store, costs, here, each * len(found))


def begin(
    project: Project,
    store: Store,
    costs: Costs,
    needed: Sequence[Run],
    runs: Sequence[Run],
    found: Sequence[torch.device],
    each: int,
    on: str | None = None,
) -> Executor:
    """Say which runs of those ``needed`` are to train, and have ready what they need: folders, data, an executor.

    Args:
        project: where they are carried out.
        store: of their records.
        costs: of their networks; those that nobody has counted yet are counted.
        needed: every run of the plan.
        runs: what is to be carried out.
        found: the devices.
        each: how many runs at a time on each of them.
        on: the cluster to carry them out on, in place of this machine's devices.
    """
    executor = make_executor(store, costs, project.data, found, each, project.plugins, on)
    _banner(needed, len(runs), on or devices.name(found[0]), 1 if on else each * len(found))
    if runs:
        make_ready(project.results)
    if not project.data_was_named:
        fetch(project, runs)
    count_missing(costs, needed)
    return executor


def _shard(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(f"--shard {text}: write I/N, the I-th of N shares, as in 1/4 ... 4/4")
    return int(match[1]), int(match[2])


def end_if_interrupted(summary: Summary) -> None:
    """End the command, where Ctrl-C or SIGTERM ended its runs."""
    if summary.ended == "interrupted":
        stop("stopped; what was finished is kept, and the same command resumes from the last checkpoint")
    if summary.ended == "terminated":
        stop("stopped by SIGTERM, each run at a checkpoint; the same command resumes there", TERMINATED)


def end_if_left_out(needed: Sequence[Run], summary: Summary, store: Store) -> None:
    """End the command with exit code 1, where runs that were asked for have no record now."""
    for failure in summary.failed:
        complain(f"failed: {failure}")
    store.refresh()
    left = sum(store.current_record(run) is None for run in needed)
    if left:
        complain(f"{left} of {len(needed)} runs were left out; the same command tries them again")
        sys.exit(1)


def default_profile(device_name: str | None) -> Profile:
    """The real thing where a GPU makes it possible, elsewhere what a person can wait for."""
    return "paper" if devices.choose(device_name).type == "cuda" else "smoke"


def count_missing(costs: Costs, runs: Iterable[Run]) -> None:
    """Count the networks that nobody has counted yet, for the records' FLOPs; without fvcore they stay unknown."""
    networks = {(network, run.stage.data.set) for run in runs for network in run.stage.networks}
    new = [(network, SETS[name]) for network, name in networks if cost_of(network, name, costs) is None]
    represented = {
        (network, weights, SETS[run.stage.data.set])
        for run in runs
        for network, weights in zip(run.stage.networks, run.stage.weights, strict=False)
        if weights is not None and bytes_of(network, weights, run.stage.data.set, costs) is None
    }
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            for network, info in new:
                costs.lookup(network, info.classes, info.channels, info.size)
            for network, weights, info in represented:
                costs.lookup_bytes(network, weights, info.classes, info.channels, info.size)
        except CostError:
            return
    for warning in caught:
        print(f"WARNING: {warning.message}")
    if new or represented:
        costs.write()


def fetch(project: Project, runs: Sequence[Run]) -> None:
    """Download what is missing before any run begins, so that no two of them do."""
    for name in sorted({run.stage.data.set for run in runs}):
        if not project.has_data(name):
            SETS[name].load(project.data, download=True)


def _banner(needed: Sequence[Run], count: int, device: str, side_by_side: int) -> None:
    sets, profiles = {run.stage.data.set for run in needed}, sorted({run.profile for run in needed})
    beside = f", {side_by_side} at a time" if side_by_side > 1 else ""
    shown = f"profile {' and '.join(profiles)} on {device}" if profiles else device
    print(f"{shown}: {count} of {len(needed)} runs to train{beside}")
    synthetic = sorted(sets & {info.stand_in for info in SETS.values()})
    if synthetic:
        print(
            f"NOTE: the smoke profile trains on SYNTHETIC images ({', '.join(synthetic)}). The errors show that all of"
            " it works and say nothing about the paper. `--profile smoke-real` takes as few real ones.",
        )


def _full_price(needed: Sequence[Run], store: Store, costs: Costs, here: Sequence[Record], side_by_side: int) -> None:
    """What the paper profile would take, at the rate at which the records of this machine were made."""
    runs = todo(needed, store)
    if not runs:
        print("the paper profile has nothing left to train here")
        return
    flops = sum(training_flops(run, costs) or 0 for run in runs)
    done, seconds = sum(record.flops or 0 for record in here), sum(record.seconds for record in here) / side_by_side
    at_rate = f", {flops:.2g} FLOPs, about {duration(flops / done * seconds)} on this machine" if done else ""
    print(f"the paper profile has {len(runs)} runs to train{at_rate}; `kdbench estimate` times it properly")


def estimate(
    table: str,
    profile: Profile,
    rows: Sequence[str],
    device_name: str | None,
    gpus: Sequence[int] = (),
    tflops: float | None = None,
) -> None:
    """Print time and FLOPs of what is missing of a table: from a few timed steps on this machine, or at a rate."""
    project = Project.find()
    device, library, store = devices.choose(device_name), project.library(), project.store()
    costs = project.costs()
    runs = todo(plan(library, [table], profile, rows=rows).runs.values(), store)
    tell_unreadable(library, [table])
    where = f"on {devices.name(device)}" if tflops is None else f"at {tflops:g} TFLOP/s, which you state"
    print(line(f"profile {profile} {where}: {len(runs)} runs to train"))
    total, flops, times = 0.0, 0, {run.key: 0.0 for run in runs}  # evaluations of ensembles take moments
    print(f"{'runs':>4}  {'ms a step':>9}  {'a run':>9}  {'all runs':>9}  {'FLOPs a run':>11}  what")
    for what, own in estimates.workloads(runs):
        each = training_flops(own[0], costs) or 0
        one = estimates.at_rate(own[0], each, tflops) if tflops else estimates.estimate(own[0], device)
        times |= {run.key: one.seconds for run in own}
        all_runs = one.seconds * len(own)
        total, flops = total + all_runs, flops + each * len(own)
        numbers = (
            f"{len(own):4}  {1e3 * one.step:9.1f}  {duration(one.seconds):>9}  {duration(all_runs):>9}  {each:11.2e}"
        )
        print(line(f"{numbers}  {what}", len(numbers) + 2))
    print(f"in all {duration(total)}, {flops:.2e} FLOPs")
    if gpus:
        _tell_makespans(runs, times, gpus)
    _tell_needs(build(library, table, store, costs), library.table(table))


def _tell_makespans(runs: Sequence[Run], times: Mapping[str, float], gpus: Sequence[int]) -> None:
    """How long the runs take side by side, one a GPU, and the chain that no number of GPUs makes shorter."""
    print("\nby simulation, one run a GPU, each as fast as that:")
    for number in gpus:
        found = makespan(runs, times, number)
        print(f"{number:4} GPUs: {duration(found.seconds)}, busy {100 * found.busy:.0f} % of it")
    path = critical_path(runs, times)
    print(f"critical path, {duration(sum(times[run.key] for run in path))}:")
    for run in path:
        print(line(f"    {title(run)}: {duration(times[run.key])}", 8))


def _tell_needs(report: Report, table: Table) -> None:
    """How many seeds each verdict needs, at the spread seen so far or at that of the table's other rows."""
    if all(line.margin is None for line in report.lines):
        return
    found = list(needs(report, table))
    print()
    print(
        line("seeds that a verdict needs, each with a source of its own, for a 95 % interval within twice the margin:")
    )
    if not found:
        print("not known yet: no row has two runs in the paper profile")
    for need in found:
        seeds = "no number, the spread is too wide" if need.seeds is None else f"{need.seeds} (done: {need.done})"
        spread = "seen" if need.seen else "typical of this table"
        print(line(f"{need.row}: {seeds}; standard deviation {need.sd:.2f} {spread}, margin {need.margin:.3g}"))


def prepare(sets: Sequence[str], data: Path | None) -> None:
    """Fetch what is missing into the data folder, and check every set's fingerprint."""
    project = Project.find(data)
    project.load_plugins()
    unknown = [name for name in sets if name not in SETS or SETS[name].synthetic]
    if unknown:
        real = [name for name, info in SETS.items() if not info.synthetic]
        raise UsageError(f"no data set {unknown[0]!r} to prepare; {nearest(unknown[0], real)}")
    for name in sets:
        had = project.has_data(name)
        images = SETS[name].load(project.data, download=not had)
        print(
            f"{name}: {len(images.train_y)} training and {len(images.test_y)} test images,"
            f" {'found in' if had else 'fetched into'} {project.data},"
            f" fingerprint {SETS[name].fingerprint} as published",
        )


def export(run: str, to: Path, profile: Profile) -> None:
    """Write the network of a run into a folder."""
    about = exports.export(Project.find(), run, profile, to)
    print(f"{about.network} of record {about.record}, test error {about.test_error:.2f} %, written to {to}")
    print(f"in Python: bench.load({str(to)!r})")
