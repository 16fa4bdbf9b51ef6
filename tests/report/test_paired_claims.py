"""Which seeds of two rows a claim pairs."""

from pathlib import Path

import pytest

from bench.counting import Costs
from bench.graph import plan
from bench.record import Result
from bench.report.table import build
from bench.report.verdict import Verdict
from bench.store import Store
from tests.handmade import library, record

# Large gains with a little spread, where the errors of the rows are paired in order; none is to be seen otherwise.
WORSE, BETTER = (10.0, 30.0, 50.0), (9.0, 29.1, 48.9)


def judged(folder: Path, seeds: tuple[int, ...], recorded: int = 3) -> Verdict:
    """What becomes of the claim that ``kd`` beats ``plain``, whose seeds are 1 to 3."""
    recipes = library(folder, ("    label: KD\n", f"    label: KD\n    seeds: {list(seeds)}\n"))
    rows, store = plan(recipes, ["small"], "paper").rows, Store(folder / "results")
    for row, errors in (("plain", WORSE), ("kd", BETTER)):
        for run, error in [*zip(rows["small", row].values(), errors, strict=True)][:recorded]:
            store.add(record(run, results=[Result(error, error, 9)]))
    (claimed,) = build(recipes, "small", store, Costs.read(folder / "costs.json")).claims
    return claimed.verdict


@pytest.mark.parametrize("seeds", [(1, 2, 3), (4, 5, 6)])
def test_seeds_are_paired_by_number_or_in_order(tmp_path: Path, seeds: tuple[int, ...]) -> None:
    verdict = judged(tmp_path, seeds)
    assert verdict.word == "holds"
    assert (verdict.n, verdict.d) == (3, pytest.approx(1.0))


def test_where_some_are_common_only_those_are_paired(tmp_path: Path) -> None:
    # Seed 3, whose errors are 50 and 9: one pair.
    assert judged(tmp_path, (3, 4, 5)).word == "undecided"


def test_pairs_that_are_still_to_come_are_told(tmp_path: Path) -> None:
    assert "interim" in judged(tmp_path, (4, 5, 6), recorded=2).conditions
