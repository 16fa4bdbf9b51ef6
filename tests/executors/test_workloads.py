"""Which runs an estimate times together."""

from pathlib import Path

import pytest

from bench.cost import steps_taken
from bench.executors.estimate import workloads
from bench.graph import plan
from bench.recipe import load

LIBRARY = load(Path(__file__).parents[2] / "recipes")


@pytest.mark.parametrize("table", sorted(LIBRARY.tables))
def test_every_run_is_in_one_workload_of_runs_that_are_as_long(table: str) -> None:
    runs = plan(LIBRARY, [table], "paper").runs.values()
    groups = workloads(runs)
    found = [run.id for _, own in groups for run in own]
    assert sorted(found) == sorted(run.id for run in runs if run.kind != "evaluate")
    for title, own in groups:
        assert len({len(run.teachers) for run in own}) == 1
        if own[0].kind == "train":
            assert {steps_taken(run) for run in own} == {steps_taken(own[0])}
            assert title.endswith(f", {steps_taken(own[0]):,} steps")


def test_what_is_said_of_a_workload() -> None:
    runs = plan(LIBRARY, ["zskd"], "paper").runs.values()
    titles = {own[0].name: title for title, own in workloads(runs)}
    assert titles["zskd/mnist-student-kd"] == (
        "kd lenet5-half_convolutions from lenet5-full on mnist, auto, batch 512, 7,080 steps"
    )
    impressions = "data_impressions lenet5-full on mnist, float32, batch 100, 1,500 iterations"
    assert titles["zskd/mnist-zskd.impressions"] == impressions
