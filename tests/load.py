"""A project of 10,000 runs with 1,000 records. ``python -m tests.load`` says how long planning and the like take."""

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from sys import addaudithook

from bench.counting import Costs
from bench.files import sha256, write_atomic
from bench.graph import Graph, Run, plan
from bench.recipe import Library, load
from bench.record import Record
from bench.report.render import render
from bench.report.table import build
from bench.run import walk
from bench.store import Store
from bench.todo import todo
from tests.conftest import TINY
from tests.handmade import record

ROWS, SEEDS, RECORDED, WORKERS = 50, 200, 5, 100


def lay(folder: Path) -> None:
    """The recipe: teachers, each with students of its own seeds; and the records of its first rows."""
    rows = []
    for i in range(0, ROWS, 2):
        common = "group: synthetic, network: small, published: {}"
        rows.append(f"  t{i}: {{label: Teacher, {common}, method: vanilla, schedule: {{lr: {0.001 * (i + 1):.3f}}}}}")
        kd = "method: {kd: {temperature: 3.0, soften: both}}"
        rows.append(f'  s{i}: {{label: Student, {common}, {kd}, teacher: "t{i}#same"}}')
    head = TINY.partition("rows:\n")[0].replace("seeds: [1, 2]", f"seeds: {[*range(1, SEEDS + 1)]}")
    write_atomic(folder / "recipes" / "tiny" / "table.yaml", (head + "rows:\n" + "\n".join(rows) + "\n").encode())
    store, graph = Store(folder / "results"), planned(folder)[1]
    for by_seed in [*graph.rows.values()][:RECORDED]:
        for run in by_seed.values():
            store.add(record(run))


def planned(folder: Path) -> tuple[Library, Graph]:
    library = load(folder / "recipes")
    return library, plan(library, ["tiny"], "paper")


def report(folder: Path) -> str:
    library = load(folder / "recipes")
    store, costs = Store(folder / "results"), Costs(folder / "costs.json", {})
    return render(build(library, "tiny", store, costs), "text")


class Simulated:
    """An executor of a hundred workers that train in no time."""

    def __init__(self, store: Store) -> None:
        self.store, self.interrupted, self.going = store, False, list[Run]()

    @property
    def room(self) -> bool:
        return len(self.going) < WORKERS

    def submit(self, run: Run, progress: object, deadline: float | None) -> None:
        self.going.append(run)

    def wait(self, seconds: float = 0.0) -> tuple[Run, Record]:
        run = self.going.pop(0)
        path = self.store.artifact(run.id)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"weights")
        made = record(run, artifact=sha256(path))
        self.store.add(made)
        return run, made

    def stop(self) -> None:
        pass


class Silent:
    def begin(self, run: Run, number: int, count: int) -> None:
        pass

    def end(self, run: Run, record: Record) -> None:
        pass

    def skip(self, run: Run, why: str) -> None:
        raise AssertionError(why)


def driven(folder: Path, rows: int) -> int:
    """How many runs a driver carried out of as many rows."""
    graph, store = planned(folder)[1], Store(folder / "results")
    asked = [run for by_seed in [*graph.rows.values()][-rows:] for run in by_seed.values()]
    return len(walk(todo(asked, store), Simulated(store), Silent()).records)


_OPENED: list[Counter[str]] = []
# A hook cannot be taken away again: it counts only while somebody counts.
addaudithook(lambda event, given: [o.update([str(given[0])]) for o in _OPENED] if event == "open" else None)


@contextmanager
def opened() -> Iterator[Counter[str]]:
    """How often each file was opened, by path."""
    counter: Counter[str] = Counter()
    _OPENED.append(counter)
    try:
        yield counter
    finally:
        _OPENED.remove(counter)


def main() -> None:
    """Print seconds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lay(folder)
        library = load(folder / "recipes")
        store = Store(folder / "results")
        steps: dict[str, Callable[[], object]] = {
            "read the recipe": lambda: load(folder / "recipes"),
            "plan and key": lambda: [run.id for run in plan(library, ["tiny"], "paper").runs.values()],
            "read the records": lambda: Store(folder / "results"),
            "what is to do": lambda: todo(plan(library, ["tiny"], "paper").runs.values(), store),
            "report": lambda: report(folder),
        }
        for what, step in steps.items():
            print(f"{what:20} {_timed(step)}")
        print(f"{f'drive {4 * SEEDS} runs':20} {_timed(lambda: driven(folder, 4))}")


def _timed(step: Callable[[], object]) -> str:
    """Seconds in all, and of a core's work: where others are at work too, only these say something."""
    begun, work = time.perf_counter(), time.process_time()
    step()
    return f"{time.perf_counter() - begun:7.3f} s, {time.process_time() - work:7.3f} s of a core"


if __name__ == "__main__":
    main()
