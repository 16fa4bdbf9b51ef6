"""A few cases of every driver; ``make torture`` makes hundreds."""

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.torture.__main__ import DRIVERS, attempts, named, outcomes, row
from tests.torture.harness import FAILURES, Bench
from tests.torture.reference import Reference, make_reference

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="signals, limits and /proc are those of Linux")

ATTEMPTS = {named(driver, attempt): attempt for driver in DRIVERS for attempt in attempts(driver)}
FEW = {"concurrency: sixteen processes": 1, "fuzz: recipes": 10, "hostile: files": 10, "disk: faults": 4}


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    # pytest's own folders are kept for three runs: hundreds of networks.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        bench = Bench(Path(scratch) / "bench")
        yield bench
        bench.close()


@pytest.fixture(scope="module")
def reference(bench: Bench) -> Reference:
    return make_reference(bench, bench.scratch / "reference")


@pytest.mark.parametrize("name", ATTEMPTS)
def test_nothing_is_lost_and_nothing_believed(
    name: str, bench: Bench, reference: Reference, record_property: Callable[[str, object], None]
) -> None:
    found = list(outcomes(ATTEMPTS[name], FEW.get(name, 2), 0, [bench], reference))
    record_property("counts", row(name, found))
    assert [outcome for outcome in found if outcome.kind in FAILURES] == []


def test_a_case_is_the_same_again(bench: Bench, reference: Reference) -> None:
    first, again = (list(outcomes(ATTEMPTS["corruptions: artifacts"], 2, 1, [bench], reference)) for _ in range(2))
    assert [outcome.kind for outcome in first] == [outcome.kind for outcome in again]
