"""The tables of the survey's works hold together: what is compared differs in nothing but what it is compared for."""

from dataclasses import replace
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


def test_generations_differ_in_their_teacher_alone(library: Library) -> None:
    rows = library.table("survey-born-again").rows
    for network in ("wrn-28-1", "wrn-28-2"):
        chain = [rows[f"{network}{generation}"].stages[0] for generation in ("", "-ban", "-ban-2", "-ban-3")]
        for before, stage in zip(("", "-ban", "-ban-2"), chain[1:], strict=True):
            assert [(t.row, t.seed) for t in stage.teachers] == [(f"{network}{before}", None)]
            assert replace(stage, teachers=(), method=chain[0].method, location=chain[0].location) == chain[0]
        assert rows[f"{network}-ban-3"].ensemble_with == (f"{network}-ban", f"{network}-ban-2")


def test_a_network_of_its_own_half_takes_the_steps_of_a_pair(library: Library) -> None:
    rows = plan(library, ["survey-codistillation"], "paper").rows
    alone, pair = (rows["survey-codistillation", row][1] for row in ("half", "disjoint"))
    assert steps_taken(alone) == steps_taken(pair)
    assert 2 * alone.stage.schedule.batch == pair.stage.schedule.batch


def test_ten_networks_teach_together(library: Library) -> None:
    rows = library.table("survey-ensemble").rows
    for name in ("distilled", "soft-few-ensemble"):
        assert [(t.row, t.seed) for t in rows[name].stages[0].teachers] == [("baseline", seed) for seed in range(1, 11)]
    hard, soft = rows["hard-few"].stages[0], rows["soft-few"].stages[0]
    assert (hard.data, hard.schedule) == (soft.data, soft.schedule)


@pytest.mark.parametrize("table", DEMONSTRATIONS)
def test_what_no_paper_has_on_images_is_unscored_and_says_so(library: Library, table: str) -> None:
    for row in library.table(table).rows.values():
        assert row.published == {}
        assert row.unscored
        assert row.unscored.startswith(("demonstration: no paper has this on", "control: "))
