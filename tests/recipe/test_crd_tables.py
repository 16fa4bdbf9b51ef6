"""CRD's two tables hold together: the same methods with the same weights for every pair; and what a smoke run takes."""

import re
from pathlib import Path

import pytest

from bench import registry
from bench.graph import Graph, plan
from bench.methods.dkd import DKD
from bench.recipe import Library, Row, load

ROOT = Path(__file__).parents[2]
METHODS = ["KD", "FitNet", "AT", "SP", "CC", "VID", "RKD", "PKT", "AB", "FT", "FSP", "NST", "CRD", "CRD+KD", "DKD"]
TABLES = {"crd-table1": 7, "crd-table2": 6}
# Means over the pairs, computed from the authors' README (CRD+KD: from a copy of the paper's table).
MEANS = {
    "crd-table1": dict(
        zip(
            METHODS,
            (72.74, 71.37, 72.11, 72.04, 71.43, 72.13, 71.38, 72.53, 71.28, 71.53, 71.28, 71.69, 73.60, 73.82),
            strict=False,
        )
    ),
    "crd-table2": dict(
        zip(
            [m for m in METHODS if m != "FSP"],
            (71.98, 69.81, 67.93, 71.71, 69.06, 70.64, 69.69, 71.56, 70.85, 68.22, 69.68, 73.33, 73.58),
            strict=False,
        )
    ),
}


@pytest.fixture(scope="module")
def library() -> Library:
    return load(ROOT / "recipes")


def pairs(library: Library, table: str) -> dict[str, dict[str, Row]]:
    """The rows by pair and method."""
    found: dict[str, dict[str, Row]] = {}
    for row in library.tables[table].rows.values():
        if "→" in row.group:
            found.setdefault(row.group, {})[row.label] = row
    return found


@pytest.mark.parametrize("table", TABLES)
def test_every_pair_has_every_method(library: Library, table: str) -> None:
    found = pairs(library, table)
    assert len(found) == TABLES[table]
    for pair, rows in found.items():
        # Table 2 has no FSP; DKD's authors leave out one pair of each table.
        expected = [m for m in METHODS if not (m == "FSP" and table == "crd-table2")]
        assert [m for m in expected if m not in rows] in ([], ["DKD"]), pair
        assert list(rows) == [m for m in expected if m in rows]
        if table == "crd-table1":
            assert (rows["FSP"].stages == ()) == (pair == "WRN-40-2 → WRN-40-1")


def test_a_method_is_the_same_for_all_pairs(library: Library) -> None:
    said: dict[str, set[str]] = {}
    for table in TABLES:
        for rows in pairs(library, table).values():
            for label, row in rows.items():
                methods = [s.method for s in row.stages if not isinstance(s.method, DKD)]
                said.setdefault(label, set()).update([repr(methods)] if methods else [])
    assert {label: len(methods) for label, methods in said.items()} == dict.fromkeys(METHODS, 1) | {"DKD": 0}


@pytest.mark.parametrize("table", TABLES)
def test_the_rows_of_a_pair_have_one_teacher_one_student_and_the_authors_schedule(library: Library, table: str) -> None:
    for pair, rows in pairs(library, table).items():
        stages = [stage for row in rows.values() for stage in row.stages]
        assert len({stage.networks for stage in stages}) == 1, pair
        assert len({(t.table, t.row) for stage in stages for t in stage.teachers}) == 1, pair
        mobile = stages[0].networks[0].name.startswith(("mobilenet", "shufflenet"))
        for row in (row for row in rows.values() if row.stages):
            *first, last = row.stages
            assert (last.schedule.epochs, last.schedule.batch) == (240, 64)
            assert last.schedule.decay.params == {"drops": (150, 180, 210), "gamma": 0.1}
            assert last.schedule.lr == (0.01 if mobile else 0.05), row.name
            assert all((s.schedule.epochs, s.schedule.decay.name) == (30, "constant") for s in first), row.name


@pytest.mark.parametrize("table", TABLES)
def test_published_accuracies_are_of_the_last_epoch_and_of_the_tables_means(library: Library, table: str) -> None:
    cells: dict[str, list[float]] = {}
    for rows in pairs(library, table).values():
        for label, row in rows.items():
            for cell in row.published.values():
                assert cell.protocol == ("unknown" if label == "DKD" else "last")
                cells.setdefault(label, []).append(cell.value)
    for label, mean in MEANS[table].items():
        # One pair of table 1 has no FSP.
        assert len(cells[label]) == TABLES[table] - (label == "FSP")
        assert sum(cells[label]) / len(cells[label]) == pytest.approx(mean, abs=0.006)


def test_a_smoke_run_trains_every_method_and_every_kind_of_network(library: Library) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = {table: rows.split() for table, rows in re.findall(r"^SMOKE_([\w-]+) := (.*)$", makefile, re.MULTILINE)}
    seeds = {table: found.split() for table, found in re.findall(r"^SEEDS_([\w-]+) := (.*)$", makefile, re.MULTILINE)}
    assert library.tables.keys() >= named.keys() >= TABLES.keys()

    def planned(table: str) -> Graph:
        if table not in named:
            return plan(library, [table], "smoke")
        kept = [int(seed) for seed in seeds.get(table, ["1"])]
        found = plan(library, [table], "smoke", rows=named[table], seeds=kept)
        # Each row that is chosen has one of these seeds.
        assert {row for _, row in found.rows} == {*named[table]}
        return found

    runs = [run for table in library.tables for run in planned(table).runs.values() if run.kind != "evaluate"]
    assert {run.stage.method.name for run in runs} == {*registry.METHODS, *registry.SYNTHESISERS}
    trained = {network.name for run in runs for network in run.stage.networks}
    assert {*registry.NETWORKS} - trained == {"resnet50"}
