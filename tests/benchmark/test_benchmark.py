import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from bench.benchmark.__main__ import page
from bench.benchmark.measure import Effort, measure, overhead_percent, ratio
from bench.benchmark.task import WORKLOADS

CPU = torch.device("cpu")
CONTENDERS = ["bare", "classic", "bare-same-settings", "kdbench"]


def test_the_file_of_a_quick_benchmark(tmp_path: Path) -> None:
    # In a process of its own, since the classic loop forks workers.
    path = tmp_path / "new" / "benchmark.json"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "bench.benchmark", "--quick", "--out", str(path)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(found["device"]["name"], str)
    assert isinstance(found["device"]["bf16_native"], bool)
    rows = [(entry["workload"], entry["contender"]) for entry in found["results"]]
    assert rows == [(workload, contender) for workload in WORKLOADS for contender in CONTENDERS]
    for entry in found["results"]:
        spread = entry["ms_per_step"]
        assert 0 < spread["min"] <= spread["median"] <= spread["max"]
        assert entry["speedup_over_classic"] > 0
        assert entry["speedup_over_bare"] > 0
        assert f"{spread['median']:.2f} ({spread['min']:.2f} to {spread['max']:.2f})" in done.stdout
    assert list(found["harness_overhead_percent"]) == list(WORKLOADS)


def test_ratios_are_taken_round_by_round() -> None:
    # In the second round the machine is ten times slower: that says nothing of either.
    times = {"slow": [3.0, 20.0, 2.0], "fast": [1.0, 10.0, 2.0]}
    found = ratio(times, "slow", "fast")
    assert (found.median, found.min, found.max) == (2.0, 1.0, 3.0)


def test_the_overhead_of_the_harness() -> None:
    assert overhead_percent({"bare-same-settings": [10.0], "kdbench": [10.2]}) == pytest.approx(2)


def test_turns_alternate_and_last_as_long_as_asked() -> None:
    turns: list[tuple[str, int]] = []

    def steps(name: str, seconds: float, count: int) -> None:
        turns.append((name, count))
        time.sleep(seconds * count)

    contenders = {"a": lambda count: steps("a", 0.001, count), "b": lambda count: steps("b", 0.01, count)}
    times = measure(contenders, Effort(rounds=2, seconds=0.1), 50, CPU, lambda said: None)
    order = [name for name, _ in turns[-8:]]  # a lead-in before each turn
    assert order == ["a", "a", "b", "b", "b", "b", "a", "a"]
    longest = {name: max(count for own, count in turns if own == name) for name in contenders}
    assert longest["a"] <= 50
    assert 2 <= longest["b"] <= 10
    assert [len(own) for own in times.values()] == [2, 2]
    assert min(times["b"]) >= 10


@pytest.mark.parametrize(("classic", "warned"), [(0.9, True), (1.1, False), (1.3, True)])
def test_an_unfair_classic_loop_is_told(classic: float, warned: bool) -> None:
    times = {name: [1.0] for name in CONTENDERS} | {"classic": [classic]}
    assert ("WARNING" in page("vanilla-resnet32", times)) is warned
    # Of a small network the loader takes the greater part: that is what is to be seen.
    assert "WARNING" not in page("vanilla-mlp", times)
