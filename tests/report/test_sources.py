"""Which runs of a row share a source, as the run graph has it."""

from pathlib import Path

import pytest

from bench.graph import Run, plan
from bench.recipe import load
from bench.report.sources import Sources
from tests.handmade import library

SHIPPED = load(Path(__file__).parents[2] / "recipes")
KD = "    method: {kd: {temperature: 4.0, soften: both}}\n    teacher: large#1\n"
SPREAD = KD.replace("    teacher: large#1", "    sources: [1, 1, 2]\n    teacher: large#source")


def of_row(runs: dict[int, Run]) -> Sources:
    return Sources({seed: [run] for seed, run in runs.items()})


def shipped(table: str, row: str) -> Sources:
    return of_row(plan(SHIPPED, [table], "paper").rows[table, row])


@pytest.mark.parametrize(
    ("said", "groups", "single"),
    [
        (KD, [[1, 2, 3]], True),
        (KD.replace("#1", "#same"), [[1], [2], [3]], False),
        (SPREAD, [[1, 2], [3]], False),
        # One teacher of several is enough.
        (KD.replace("large#1", "[large#same, large#1]"), [[1, 2, 3]], True),
        # The teacher's own teacher, too.
        (KD.replace("large#1", "staged#same"), [[1, 2, 3]], True),
    ],
)
def test_groups_are_read_off_the_run_graph(tmp_path: Path, said: str, groups: list[list[int]], single: bool) -> None:
    sources = of_row(plan(library(tmp_path, (KD, said)), ["small"], "paper").rows["small", "kd"])
    assert (sources.groups, sources.single) == (groups, single)


def test_runs_that_take_from_none_are_alone() -> None:
    assert len(shipped("ffdwv-table2", "resnet32-cifar100").groups) == 5


def test_one_run_has_no_spread_to_be_conditional(tmp_path: Path) -> None:
    runs = plan(library(tmp_path), ["small"], "paper", seeds=[1]).rows["small", "kd"]
    assert not of_row(runs).single


@pytest.mark.parametrize(
    ("row", "given", "names"),
    [
        (("efficiency", "fashion-student-kd"), "given one teacher", ["efficiency/fashion-teacher#1"]),
        (
            ("efficiency", "fashion-zskd"),
            "given one teacher and transfer set",
            ["efficiency/fashion-lenet5#1", "efficiency/fashion-zskd.impressions#1"],
        ),
        (
            ("fsp-narrow", "student-fsp"),
            "given one first stage and teacher",
            ["fsp-narrow/student-fsp.flow#1", "fsp-narrow/teacher#1"],
        ),
    ],
)
def test_what_a_verdict_is_conditional_on_has_a_name(row: tuple[str, str], given: str, names: list[str]) -> None:
    sources = shipped(*row)
    assert sources.single
    assert (sources.given, sources.names) == (given, names)


@pytest.mark.parametrize(
    ("row", "sizes"),
    [
        (("ffdwv-table3", "kd-resnet32"), [1, 1, 1, 1, 1]),
        (("fsp-small-cifar10", "fsp"), [1, 1, 1, 1, 1]),
        (("fsp-small-cifar100", "fitnet"), [1, 1, 1, 1, 1]),
        (("fsp-table1", "student-short"), [3, 1, 1]),
        (("fsp-cifar10", "teacher-continued"), [3, 1, 1]),
        (("fsp-cifar10", "student-apart"), [3, 1, 1]),
        (("zskd", "mnist-student-kd"), [5, 1, 1, 1, 1]),
        (("zskd", "fashion-zskd"), [5, 1, 1]),
    ],
)
def test_scored_rows_have_three_sources_or_more(row: tuple[str, str], sizes: list[int]) -> None:
    assert [len(group) for group in shipped(*row).groups] == sizes


def test_pairs_of_two_rows_share_what_either_does(tmp_path: Path) -> None:
    rows = plan(library(tmp_path, (KD, SPREAD)), ["small"], "paper").rows
    kd, plain, staged = (rows["small", name] for name in ("kd", "plain", "staged"))
    assert Sources({seed: [kd[seed], plain[seed]] for seed in kd}).groups == [[1, 2], [3]]
    assert Sources({seed: [plain[seed], staged[seed]] for seed in kd}).single
    # A student and its own teacher.
    teachers = rows["small", "large"]
    assert Sources({seed: [kd[seed], teachers[seed]] for seed in kd}).groups == [[1, 2, 3]]
