from pathlib import Path

import pytest

from bench.errors import RecipeError
from bench.graph import plan
from bench.recipe import Library, load
from tests.handmade import SMALL, changed, write

ROW = """  zero-shot:
    label: Zero-shot
    group: Small
    stages:
      impressions:
        seed: 1
        teacher: large#1
        method: {data_impressions: {count: 500, scalings: [1.0, 0.1], temperature: 20.0}}
        schedule: {iterations: 100, batch: 50, lr: 0.01, drops: []}
      student:
        network: student
        teacher: large#1
        transfer_set: impressions
        method: {soft_targets: {temperature: 20.0}}
        schedule: {epochs: 10}
    published: {}
"""


def zero_shot(folder: Path, *changes: tuple[str, str]) -> Library:
    return load(write(folder, SMALL + changed(ROW, *changes)))


def test_a_transfer_set_is_an_edge_of_the_graph(tmp_path: Path) -> None:
    found = plan(zero_shot(tmp_path), ["small"], "paper").rows["small", "zero-shot"]
    students, made = list(found.values()), {run.sources["transfer_set"].key for run in found.values()}
    assert len(made) == 1
    source = students[0].sources["transfer_set"]
    assert (source.kind, source.name, source.seed) == ("synthesise", "small/zero-shot.impressions", 1)
    assert source.sources.keys() == {"teacher"}
    assert source.teachers == students[0].teachers
    assert source.recipe["networks"] == []
    assert all("transfer_set" not in run.recipe for run in students)


def test_other_impressions_are_another_student(tmp_path: Path) -> None:
    keys = [
        plan(zero_shot(tmp_path / name, change), ["small"], "paper").rows["small", "zero-shot"][1].key
        for name, change in (
            ("a", ("count: 500", "count: 501")),
            ("b", ("0.1]", "0.2]")),
            ("c", ("seed: 1", "seed: 2")),
        )
    ]
    assert len(set(keys)) == 3


def test_short_makes_a_tenth_of_the_impressions_and_trains_as_many_epochs_on_them(tmp_path: Path) -> None:
    library = zero_shot(tmp_path)
    student = plan(library, ["small"], "short").rows["small", "zero-shot"][1]
    source = student.sources["transfer_set"].stage
    assert (source.method.params["count"], source.schedule.iterations) == (50, 100)
    assert student.stage.schedule.epochs == 10
    smoke = plan(library, ["small"], "smoke").rows["small", "zero-shot"][1]
    assert smoke.stage.data.train == "all"
    assert smoke.sources["transfer_set"].stage.method.params["count"] <= 256


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            (
                "        schedule: {iterations: 100, batch",
                "        network: student\n        schedule: {iterations: 100, batch",
            ),
            "method 'data_impressions' makes images with its teacher's network: it takes no 'network'",
        ),
        (("iterations: 100", "epochs: 100"), "method 'data_impressions' takes 'iterations' an image, not epochs"),
        (
            ("transfer_set: impressions", "transfer_set: large#1"),
            "'transfer_set' names a stage that synthesises images",
        ),
        (("transfer_set: impressions", "init: impressions"), "'init' names a stage that trains a network"),
        (("        network: student\n", ""), "key 'network' is missing"),
        (
            (
                "        schedule: {epochs: 10}",
                "        data: {train: {fraction: 0.5, seed: 1}}\n        schedule: {epochs: 10}",
            ),
            "a transfer set is taken whole; say 'train: all' under 'data'",
        ),
        (("scalings: [1.0, 0.1]", "scalings: [1.0, 0.0]"), "must be above 0, got 0.0"),
    ],
)
def test_what_cannot_be_is_said_at_its_line(tmp_path: Path, change: tuple[str, str], says: str) -> None:
    with pytest.raises(RecipeError, match=r"table\.yaml:\d+: ") as error:
        zero_shot(tmp_path, change)
    assert says in str(error.value)


def test_the_last_stage_of_a_row_trains(tmp_path: Path) -> None:
    first_stage = ROW[: ROW.index("      student:")].replace("seed: 1", "precision: float32")
    with pytest.raises(RecipeError, match="the last stage trains a network"):
        load(write(tmp_path, SMALL + first_stage + "    published: {}\n"))
