"""Every published number is counted once, and what there is beside it is told."""

from dataclasses import astuple
from pathlib import Path

import pytest

from bench.counting import Costs
from bench.graph import plan
from bench.recipe import Library, load
from bench.record import Result
from bench.report.coverage import Coverage, coverage
from bench.store import Store
from tests.handmade import library, record

ROOT = Path(__file__).parents[2]
NOTHING = "  nothing: {label: Left out, group: Large, published: N/A}\n"
WAITING = NOTHING.replace(
    "published: N/A", 'waits: "for a set", published: {error: {value: 9.5, source: a, nets: [9, 10]}, trcost: 1.0}'
)
NETS = ("n: 3, source", "nets: [29.9, 30.0, 30.1], n: 3, source")


def covered(found: Library, store: Store, costs: Path) -> Coverage:
    (one,) = coverage(found, store, Costs.read(costs))
    return one


def test_each_number_has_one_state(tmp_path: Path) -> None:
    found, store = library(tmp_path, (NOTHING, WAITING), NETS), Store(tmp_path)
    before = covered(found, store, ROOT / "results" / "costs.json")
    # A mean, its nets and a size of a network that was not counted; and a mean, its nets and a cost that wait.
    assert astuple(before) == ("Nobody et al.", 9, 0, 1, 4, 4, 1, 0)
    for row in ("plain", "kd"):
        for seed, run in plan(found, ["small"], "paper").rows["small", row].items():
            store.add(record(run, results=[Result(30.0 + seed / 100, 30.0, 9)]))
    after = covered(found, store, ROOT / "results" / "costs.json")
    assert (after.verdict, after.no_runs) == (before.verdict + 1, before.no_runs - 1)
    assert (before.tested, after.tested, after.claims) == (0, 1, 1)


@pytest.mark.parametrize(
    ("change", "claims"),
    [
        ('text: "KD beats', 1),
        ('ours: true, text: "KD beats', 0),
        ('waits: "for more", text: "KD beats', 1),
    ],
)
def test_sentences_of_ours_are_none_of_the_paper(tmp_path: Path, change: str, claims: int) -> None:
    one = covered(library(tmp_path, ('text: "KD beats', change)), Store(tmp_path), tmp_path / "costs.json")
    assert (one.claims, one.tested) == (claims, 0)


def test_a_table_without_published_numbers_is_of_no_paper(tmp_path: Path) -> None:
    published = (
        '    published:\n      error: {value: 30.0, n: 3, source: "Table 1", protocol: last}\n      params: 0.1\n'
    )
    found = library(tmp_path, (published, "    published: {}\n"))
    assert coverage(found, Store(tmp_path), Costs.read(tmp_path / "costs.json")) == []


def test_the_numbers_of_the_shipped_papers() -> None:
    shipped = load(ROOT / "recipes")
    papers = coverage(shipped, Store(ROOT / "results"), Costs.read(ROOT / "results" / "costs.json"))
    for paper in papers:
        assert paper.published == paper.verdict + paper.no_runs + paper.no_verdict + paper.waiting
        assert paper.tested <= paper.claims
    assert sum(paper.published for paper in papers) == sum(
        1 + len(cell.nets)
        for table in shipped.tables.values()
        for row in table.rows.values()
        for cell in row.published.values()
    )
    single = [
        len(cell.nets)
        for name in ("fsp-table1", "fsp-cifar10")
        for row in shipped.table(name).rows.values()
        for cell in row.published.values()
    ]
    assert sum(single) == 33
