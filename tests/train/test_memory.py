"""Memory as it is counted, against PyTorch's profiler, which is told of every allocation."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bench.executors import estimate
from bench.executors.estimate import measure
from bench.graph import Run, plan
from bench.recipe import load
from bench.train.engine import Training
from bench.train.memory import Counted, held, peak_of_steps

CPU = torch.device("cpu")


def profiled(work: Callable[[], object], folder: Path) -> int:
    """The most bytes that were allocated at a time, and not before the work began."""
    trace = folder / "trace.json"
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profiler:
        work()
    profiler.export_chrome_trace(str(trace))
    found = [event for event in json.loads(trace.read_text())["traceEvents"] if event.get("name") == "[memory]"]
    now = most = 0
    for event in sorted(found, key=lambda event: event["ts"]):
        now += event["args"]["Bytes"]
        most = max(most, now)
    return most


def test_by_hand() -> None:
    with Counted() as counted:
        one = torch.zeros(1000, dtype=torch.float32)
        two = one.view(10, 100)  # the same storage
        three = one + two.flatten()
        del one, two
        torch.zeros(500, dtype=torch.float32)
    assert (counted.peak, counted.live) == (8000, 4000)
    assert held([three, three[:5], torch.zeros(3, dtype=torch.int64)]) == 4000 + 24


@pytest.mark.parametrize("row", ["vanilla", "kd", "dml"])
def test_a_step_and_a_test_take_what_the_profiler_sees(project: Path, row: str, monkeypatch) -> None:
    made, training = [], Training

    def kept(job) -> Training:
        made.append(training(job))
        return made[-1]

    monkeypatch.setattr(estimate, "Training", kept)
    run: Run = plan(load(project / "recipes"), ["tiny"], "paper", rows=[row]).rows["tiny", row][1]
    told = measure(run, CPU)
    (found,) = made

    def step_and_test() -> None:
        found.begin(0, 1)
        found.mode(training=True)
        found.batches.run(1)
        found.mode(training=False)
        found.tests.run(1)

    for optimizer in found.optimizers:
        optimizer.zero_grad(set_to_none=True)
    seen = profiled(step_and_test, project)
    assert seen > 2**20
    assert peak_of_steps(found) == pytest.approx(seen, rel=0.05)
    assert told.memory > peak_of_steps(found) + sum(p.nbytes for n in found.job.networks for p in n.parameters())
