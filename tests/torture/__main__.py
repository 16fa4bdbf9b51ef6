"""``python -m tests.torture [DRIVER ...] [--count N] [--seed S]``: break things on purpose, and count what comes of it.

A driver without a count makes as many cases as it takes to be sure. A failing case is told with what was done.
"""

import argparse
import importlib
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

from tests.torture.harness import FAILURES, KINDS, Bench, Outcome
from tests.torture.reference import Attempt, Reference, carry_out, make_reference, scratch_folder

DRIVERS = ("kills", "corruptions", "fuzz", "concurrency", "hostile", "disk")
AT_ONCE = 2
HEAD = f"{'driver':36}{'tried':>7}" + "".join(f"{kind:>11}" for kind in KINDS)


def outcomes(attempt: Attempt, count: int, seed: int, benches: list[Bench], reference: Reference) -> Iterator[Outcome]:
    """What came of each case, in order; as many at a time as there are benches."""
    idle: SimpleQueue[Bench] = SimpleQueue()
    for bench in benches:
        idle.put(bench)

    def one(number: int) -> Outcome:
        bench = idle.get()
        try:
            return carry_out(attempt, seed, number, bench, reference)
        finally:
            idle.put(bench)

    with ThreadPoolExecutor(len(benches)) as pool:
        yield from pool.map(one, range(count))


def attempts(driver: str) -> dict[Attempt, int]:
    """The kinds of cases of a driver, and how many of each the long form makes."""
    found: dict[Attempt, int] = importlib.import_module(f"tests.torture.{driver}").DRIVER
    return found


def named(driver: str, attempt: Attempt) -> str:
    """What a row of the table calls a kind of cases."""
    return f"{driver}: {attempt.__name__.replace('_', ' ')}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("drivers", nargs="*", metavar="DRIVER", help=f"one of {', '.join(DRIVERS)} [all]")
    parser.add_argument("--count", type=int, help="cases of each kind [as many as each driver says]")
    parser.add_argument("--seed", type=int, default=0, help="of what is broken, and how [0]")
    options = parser.parse_args()
    if unknown := set(options.drivers) - set(DRIVERS):
        parser.error(f"no driver {', '.join(sorted(unknown))}; there are {', '.join(DRIVERS)}")
    failed = False
    print(HEAD, flush=True)
    with scratch_folder() as scratch:
        benches = [Bench(scratch / str(i)) for i in range(AT_ONCE)]
        try:
            reference = make_reference(benches[0], scratch / "reference")
            for driver in options.drivers or DRIVERS:
                for attempt, count in attempts(driver).items():
                    found = list(outcomes(attempt, options.count or count, options.seed, benches, reference))
                    failed |= _print(named(driver, attempt), found)
        finally:
            for bench in benches:
                bench.close()
    sys.exit(failed)


def _print(name: str, found: list[Outcome]) -> bool:
    """A row of the table, and under it each failing case; whether there is one."""
    print(row(name, found), flush=True)
    failing = [(i, outcome) for i, outcome in enumerate(found) if outcome.kind in FAILURES]
    for i, outcome in failing:
        print(f"    {outcome.kind}, case {i}: {outcome.why}", flush=True)
    return bool(failing)


def row(name: str, found: list[Outcome]) -> str:
    """How many there are of each kind."""
    counts = Counter(outcome.kind for outcome in found)
    return f"{name:36}{len(found):7}" + "".join(f"{counts[kind]:11}" for kind in KINDS)


if __name__ == "__main__":
    main()
