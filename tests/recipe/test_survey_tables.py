"""The tables of the survey's works hold together: what is compared differs in nothing but what it is compared for."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from bench.cost import steps_taken
from bench.graph import plan
from bench.recipe import Library, Subset, load

SHARES = (100, 20, 10, 2)
METHODS = ("student", "kd", "fitnet", "at", "vid")
DEMONSTRATIONS = ("survey-ensemble", "survey-codistillation", "survey-conditional")


@pytest.fixture(scope="module")
def library() -> Library:
    return load(Path(__file__).parents[2] / "recipes")


def test_vid_has_every_method_on_every_share(library: Library) -> None:
    rows = library.table("survey-vid").rows
    assert [*rows] == ["teacher", *(f"{method}-{share}" for share in SHARES for method in METHODS)]
    for method in METHODS:
        stages = [rows[f"{method}-{share}"].stages[0] for share in SHARES]
        whole, *parts = stages
        assert whole.data.train == "all"
        for share, part in zip(SHARES[1:], parts, strict=True):
            assert part.data.train == Subset(seed=0, fraction=share / 100)
            same = replace(part, data=replace(part.data, train="all"), location=whole.location, teachers=())
            assert same == replace(whole, teachers=())
            assert [(t.row, t.seed) for t in part.teachers] == ([] if method == "student" else [("teacher", 1)])


def test_vids_published_numbers_are_the_surveys_drop(library: Library) -> None:
    published = {name: row.published["accuracy"].value for name, row in library.table("survey-vid").rows.items()}
    assert len(published) == 21
    assert published["vid-100"] - published["vid-2"] == pytest.approx(10.26)
    # In every share VID is the best, and in the small ones the order of the others is the paper's.
    for share in SHARES:
        of_share = {method: published[f"{method}-{share}"] for method in METHODS}
        assert max(of_share, key=of_share.__getitem__) == "vid"
    assert sorted(METHODS, key=lambda method: published[f"{method}-2"]) == [*METHODS]


def test_generations_differ_in_their_teacher_and_their_seeds_alone(library: Library) -> None:
    rows = library.table("survey-born-again").rows
    for network in ("wrn-28-1", "wrn-28-2"):
        chain = [rows[f"{generation}{network}"] for generation in ("", "ban-", "ban-2-", "ban-3-")]
        first = chain[0].stages[0]
        for before, row in pairwise(chain):
            (stage,) = row.stages
            assert [(t.row, t.seed) for t in stage.teachers] == [(before.name, "source")]
            assert replace(stage, teachers=(), method=first.method, location=first.location) == first
            assert tuple(row.sources[seed] for seed in row.seeds) == before.seeds
        # None of a chain begins with the weights of another.
        assert len({seed for row in chain for seed in row.seeds}) == 20
        assert [row.generations for row in chain] == [1, 1, 2, 3]


def test_no_student_of_one_kind_has_a_seed_of_its_teachers(library: Library) -> None:
    # It would begin with the same weights, and be shown the images in the same order.
    tables = [table for table in library.tables if table.startswith("survey-")]
    for run in plan(library, tables, "paper").runs.values():
        for teacher in run.teachers:
            assert teacher.seed != run.seed or teacher.stage.networks[0] not in run.stage.networks, run.name


def test_a_network_of_its_own_half_takes_the_steps_of_a_pair(library: Library) -> None:
    rows = plan(library, ["survey-codistillation"], "paper").rows
    alone, pair = (rows["survey-codistillation", row][1] for row in ("half", "disjoint"))
    assert steps_taken(alone) == steps_taken(pair)
    assert 2 * alone.stage.schedule.batch == pair.stage.schedule.batch


def test_ten_networks_teach_together(library: Library) -> None:
    rows = library.table("survey-ensemble").rows
    for name in ("distilled", "soft-few-ensemble"):
        assert [(t.row, t.seed) for t in rows[name].stages[0].teachers] == [("members", seed) for seed in range(11, 21)]
    hard, soft = rows["hard-few"].stages[0], rows["soft-few"].stages[0]
    assert (hard.data, hard.schedule) == (soft.data, soft.schedule)


@pytest.mark.parametrize("table", DEMONSTRATIONS)
def test_what_no_paper_has_on_images_is_unscored_and_says_so(library: Library, table: str) -> None:
    for row in library.table(table).rows.values():
        assert row.published == {}
        assert row.unscored
        assert row.unscored.startswith(("demonstration: no paper has this on", "control: "))
