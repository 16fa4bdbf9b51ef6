"""The commands that only read: tables, checks, reports and costs; none of them imports torch."""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import zip_longest

from tabulate import tabulate

from bench import verify as verification
from bench.cli.output import width
from bench.cli.progress import duration, tell_left_out, tell_unreadable
from bench.cli.tables import table as fitted_table
from bench.cost import bytes_of, forward_flops
from bench.errors import RecipeError, StoreError
from bench.files import write_atomic
from bench.graph import plan
from bench.networks.base import Network
from bench.profiles import Profile
from bench.project import Project, select
from bench.quantisers import Quantiser
from bench.recipe import Library
from bench.registry import BROKEN, SETS
from bench.report.model import Report
from bench.report.remaining import TO_DO, RowRemaining, State, devices_here, left, remaining, remaining_rows
from bench.report.render import Format, render
from bench.report.table import build
from bench.store import UNSEALED_RECORDS
from bench.todo import left_out, todo, with_missing_sources

LEAST_TITLE = 20
ROW_STATES: tuple[State, ...] = ("done", "diverged", "running", "missing")


def tables(*, names_only: bool) -> None:
    """One line a table: how many of its paper-profile runs are done."""
    project = Project.find()
    library = project.library()
    if names_only:
        print("\n".join(library.tables))
        return
    tell_unreadable(library, library.tables)
    store, rows = project.store(), []
    for name, table in library.tables.items():
        runs = plan(library, [name], "paper").runs.values()
        done = sum(store.current_record(run) is not None for run in runs)
        rows.append([name, len(table.rows), f"{done}/{len(runs)}", table.title])
    headers = ["table", "rows", "paper runs done", "title"]
    # Titles have what the other columns leave them, if that is something.
    others = max(map(len, library.tables)) + len("      rows  paper runs done    ")
    columns = width()
    room = None if columns is None else columns - others
    if room is not None and room < LEAST_TITLE:
        rows, headers = [row[:-1] for row in rows], headers[:-1]
    widths = [None] * 3 + [room]
    print(tabulate(rows, headers, "simple", maxcolwidths=widths[: len(headers)], break_long_words=False))


def rows(table: str, *, names_only: bool) -> None:
    """One line a row of a table: how many of its seeds are done, running and missing, and what the rest takes here."""
    project = Project.find()
    library = project.library()
    if names_only:
        print("\n".join(library.table(table).rows))
        return
    tell_unreadable(library, [table])
    paper, store, costs, here = plan(library, [table], "paper"), project.store(), project.costs(), devices_here()
    found = remaining_rows(library.table(table), paper, store, costs, here)
    shown = [state for state in ROW_STATES if state != "diverged" or any("diverged" in each.seeds for each in found)]
    lines = [[each.row, each.planned, *(_seeds(each, state) for state in shown), _left(each)] for each in found]
    print(fitted_table(["row", "seeds", *shown, "time left"], lines))
    print(f"\n{left(remaining(paper.runs.values(), store, costs, here), ', '.join(here), table)}")


def _seeds(row: RowRemaining, state: State) -> int:
    """Its seeds in a state; without a record of today's code, one that nobody trains now is missing."""
    if state == "missing":
        return row.planned - sum(row.seeds.get(other, 0) for other in ROW_STATES if other != state)
    return row.seeds.get(state, 0)


def _left(row: RowRemaining) -> str:
    """For example ``2.3 h``; ``?`` where no record tells."""
    to_do = sum(row.left.states.get(state, 0) for state in TO_DO)
    if not to_do or row.left.unknown == to_do:
        return "?" if to_do else "-"
    return f"{'at least ' if row.left.unknown else ''}{duration(row.left.seconds)}"


def check() -> None:
    """Load every recipe; a fault ends in an error with file and line."""
    library = Project.find().library()
    faults = [*library.unreadable.values(), *(f"plug-in {name}: {why}" for name, why in BROKEN.items())]
    if faults:
        raise RecipeError("\n".join(faults))
    runs = len(plan(library, library.tables, "paper").runs)
    rows = sum(len(table.rows) for table in library.tables.values())
    print(f"{len(library.tables)} tables, {rows} rows, {runs} runs: all is well")


def verify() -> None:
    """Check every record, artifact and checkpoint against itself; faults end in an error with a line for each."""
    project = Project.find()
    project.load_plugins()
    seen = verification.verify(project.results, project.shipped_results)
    print(f"{len(seen.records)} records, {seen.artifacts} artifacts, {seen.checkpoints} checkpoints")
    if seen.unsealed:
        listed = f"{seen.unsealed - seen.unlisted} of them are as {UNSEALED_RECORDS} lists them"
        print(f"{seen.unsealed} records were made before records had a digest of their own; {listed}")
    for stem, why in seen.unplaced.items():
        print(f"{stem}: its id was not checked: {why}")
    if seen.faults:
        raise StoreError("\n".join(seen.faults))
    print("all is well")


def graph(
    name: str, profile: Profile, rows: Sequence[str], seeds: Sequence[int], *, again: bool, retry_diverged: bool
) -> None:
    """Print every run of a plan: whether it is done, would run, or would run again."""
    project = Project.find()
    library, store = project.library(), project.store()
    chosen = select(library, name, profile, rows, seeds)
    tell_unreadable(library, [chosen.table])
    if again:
        runs, hindered = with_missing_sources(chosen.asked, store), []
    else:
        runs = todo(chosen.needed, store, retry_diverged=retry_diverged)
        hindered = left_out(chosen.needed, store, retry_diverged=retry_diverged)
    waiting = {run.key for run in runs}
    for run in chosen.needed:
        record = store.current_record(run)
        state = ("again" if record else "to run") if run.key in waiting else (record.status if record else "waits")
        sources = "".join(f"  {edge}: {source.name} seed {source.seed}" for edge, source in run.sources.items())
        print(f"{state:8} {run.id}  {run.name} seed {run.seed}{sources}")
    tell_left_out(hindered)
    done = len(chosen.needed) - len(waiting) - len(hindered)
    print(f"profile {profile}: {done} done, {len(waiting)} to run")


def report(table: str, form: Format, profile: Profile, rows: Sequence[str], *, slim: bool, brief: bool) -> None:
    """Print a table, or some of its rows."""
    found = _report(table, profile, rows)
    print(render(found, form, slim=slim, brief=brief, width=width()).rstrip("\n"))


def write(table: str, profile: Profile) -> None:
    """Write a table where committed tables lie."""
    found = _report(table, profile)
    if not any(measured.values for line in found.lines for measured in line.smaller):
        found = replace(found, smaller=None)  # a column of nothing
    path = Project.find().results / "tables" / f"{table}.md"
    write_atomic(path, render(found, "markdown").encode())
    print(f"written to {path}")


def _report(table: str, profile: Profile, rows: Sequence[str] = ()) -> Report:
    project = Project.find()
    library = project.library()
    tell_unreadable(library, [table])
    smaller = None if profile == "paper" else profile
    return build(library, table, project.store(), project.costs(), smaller=smaller, rows=rows)


def cost(table: str | None, *, recount: bool) -> None:
    """Print what each network of the recipes costs; with ``recount`` count again with fvcore."""
    project = Project.find()
    library = project.library()
    costs = project.costs()
    chosen = Library({table: library.table(table)}) if table else library
    rows, uncounted = [], set[str]()
    for network, weights, set_name in _networks(chosen):
        info = SETS[set_name]
        geometry = (info.classes, info.channels, info.size)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            cost = costs.lookup(network, *geometry, recount=recount)
        uncounted |= {str(warning.message) for warning in caught}
        if weights is not None:
            costs.lookup_bytes(network, weights, *geometry, recount=recount)
        name = ", ".join(part.told for part in (network, weights) if part is not None)
        size, flops = bytes_of(network, weights, set_name, costs), cost.macs and forward_flops(cost.macs) / 1e8
        rows.append([name, set_name, cost.params, cost.macs, flops, size and size / 1e6])
    headers = ["network", "set", "parameters", "multiply-adds", "1e8 FLOPs", "MB"]
    print(fitted_table(headers, rows, floats=".4f"))
    print("".join(f"\n{message}" for message in sorted(uncounted)), end="\n" if uncounted else "")
    costs.write()


def _networks(library: Library) -> Iterable[tuple[Network, Quantiser | None, str]]:
    """Every network that a row trains, once for each set and each way in which its weights are represented."""
    networks = {}
    for table in library.tables.values():
        for row in table.rows.values():
            for stage in row.stages:
                for network, weights in zip_longest(stage.networks, stage.weights):
                    networks[str(network), str(weights), stage.data.set] = (network, weights, stage.data.set)
    return networks.values()
