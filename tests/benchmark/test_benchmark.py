import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.benchmark import calibration, contenders, seeds
from bench.benchmark.__main__ import expected, main, page, written
from bench.benchmark.contenders import CACHED, FILLING
from bench.benchmark.measure import RUNS, Budget, measure, overhead_percent, ratio, with_filling
from bench.benchmark.task import WORKLOADS, make_task
from bench.train.engine import Training

CPU = torch.device("cpu")
CONTENDERS = ["bare", "classic", "bare-same-settings", "kdbench"]
KD = "kd-resnet110-resnet32"


@pytest.mark.slow
def test_the_file_of_a_quick_benchmark(tmp_path: Path) -> None:
    path = tmp_path / "new" / "benchmark.json"
    # In a process of its own, since the classic loop forks workers.
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "bench.benchmark", "--quick", "--seeds", "2", "--out", str(path)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(found["device"]["name"], str)
    assert isinstance(found["device"]["bf16_native"], bool)
    rows = [(entry["workload"], entry["contender"]) for entry in found["results"]]
    together = ["kdbench-2-streams", "2-grouped"]
    more = {KD: [CACHED, "kdbench-2-streams", *RUNS]}
    assert rows == [(workload, name) for workload in WORKLOADS for name in CONTENDERS + more.get(workload, together)]
    for entry in found["results"]:
        spread = entry["ms_per_step"]
        assert 0 < spread["min"] <= spread["median"] <= spread["max"]
        assert entry["speedup_over_classic"] > 0
        assert entry["speedup_over_bare"] > 0
        assert f"{spread['median']:.2f} ({spread['min']:.2f} to {spread['max']:.2f})" in done.stdout
    assert list(found["harness_overhead_percent"]) == list(WORKLOADS)
    assert list(found["cache_filling_ms_per_batch"]) == [KD]
    assert "calibration" not in found


def test_without_cuda_there_is_nothing_to_calibrate(monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmark", "--calibrate", "--compiled", "--device", "cpu"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    told = "kdbench: make benchmark-gpu needs CUDA, which is not here; make benchmark does without\n"
    assert capsys.readouterr() == ("", told)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_the_limits_of_a_device() -> None:
    found = calibration.calibrate(torch.device("cuda"))
    assert found == written(torch.device("cuda"), {}, found)["calibration"]
    assert min(found.values()) > 0
    assert found["chained_kernel_us"] < found["graph_replay_us"]


def test_the_limits_that_need_no_graph() -> None:
    assert calibration.launch(CPU) > 0
    assert calibration.bandwidth(CPU, 1000) > 0
    assert calibration.products(CPU, 8) > 0


def test_a_cached_step_and_its_part_of_the_filling() -> None:
    # In the second round the machine is ten times slower.
    times = with_filling({"bare": [8.0, 80.0], CACHED: [2.0, 20.0], FILLING: [10.0, 100.0]}, views=162)
    # Of what a teacher does without a cache, 0.11 is left over 300 epochs of five seeds, and 0.92 over 30 of one.
    assert times[f"{CACHED}-300x5"] == pytest.approx([2 + 1.08, 20 + 10.8], abs=0.02)
    assert times[f"{CACHED}-30x1"] == pytest.approx([2 + 9.15, 20 + 91.5], abs=0.05)
    assert with_filling({"bare": [8.0]}, views=162) == {"bare": [8.0]}


def test_no_cached_step_asks_the_teacher_but_the_filling_does(monkeypatch: pytest.MonkeyPatch) -> None:
    task, teachers = make_task(WORKLOADS[KD], CPU, tiny=True), []

    def training(*given: Any, **more: Any) -> Training:
        made = _training(*given, **more)
        teachers.extend(made.job.teachers)
        return made

    _training = contenders.training_of
    monkeypatch.setattr(contenders, "training_of", training)
    found = contenders.cached(task, pytest.fail)
    asked: list[int] = []
    teachers[0].register_forward_hook(lambda module, given, answer: asked.append(len(given[0])))
    found[CACHED](3)
    assert asked == []
    found[FILLING](2)
    assert asked == [task.batch, task.batch]


def test_seeds_together_train_as_each_does_alone() -> None:
    task = make_task(WORKLOADS["vanilla-resnet32"], CPU, tiny=True)
    stage = replace(task.run.stage, precision="float64")
    task = replace(task, run=replace(task.run, stage=stage))
    grouped = seeds.Grouped(task, 3)
    for _ in range(3):
        grouped.step()
    for number, own in enumerate(seeds.of_seeds(task, 3)):
        alone = contenders.training_of(own)
        steps = contenders.ready(alone, own)
        for _ in range(3):
            steps(1)
        found = {name: value[number] for name, value in (grouped.parameters | grouped.buffers).items()}
        torch.testing.assert_close(found, dict(alone.job.networks[0].state_dict()), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(("until", "rounds"), [(-1.0, 1), (1e9, 3)])
def test_rounds_end_with_the_budget_but_there_is_one(until: float, rounds: int) -> None:
    told = list[str]()
    budget = Budget(3, None, time.monotonic() + until)
    times = measure({"one": lambda count: None, "other": lambda count: None}, budget, 10, CPU, told.append)
    assert [len(own) for own in times.values()] == [rounds, rounds]
    assert ("1 of 3 rounds, for lack of time" in told) == (rounds == 1)


def test_a_workload_is_expected_to_take_what_others_took_for_their_turns() -> None:
    assert expected("vanilla-mlp", {"vanilla-resnet32": 90.0, KD: 150.0}) == 50.0


def test_a_workload_that_does_not_fit_is_left_out_and_the_file_has_the_others(tmp_path: Path) -> None:
    path = tmp_path / "benchmark.json"
    given = ["--quick", "--budget", "0.001", "--only", "vanilla-mlp", "--only", "vanilla-cnn", "--device", "cpu"]
    done = subprocess.run(
        [sys.executable, "-m", "bench.benchmark", *given, "--out", str(path)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    assert "1 of 2 rounds, for lack of time" in done.stdout
    assert "vanilla-cnn left out, for lack of time" in done.stdout
    assert {entry["workload"] for entry in json.loads(path.read_text())["results"]} == {"vanilla-mlp"}


def test_the_time_of_several_seeds_is_shared_among_them() -> None:
    times = {"bare": [8.0], "kdbench-4-streams": [12.0, 16.0], "4-grouped": [40.0]}
    assert seeds.per_seed(times, 4) == {"bare": [8.0], "kdbench-4-streams": [3.0, 4.0], "4-grouped": [10.0]}


def test_what_is_left_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    task, told = make_task(WORKLOADS[KD], CPU, tiny=True), list[str]()
    monkeypatch.setattr(contenders, "is_worthwhile", lambda *of: False)
    assert contenders.cached(task, told.append) == {}

    def no_compiler(*given: Any, **more: Any) -> None:
        raise RuntimeError("no C++ compiler\nand much more")

    monkeypatch.setattr(contenders, "training_of", no_compiler)
    assert contenders.compiled_kdbench(task, told.append) == {}
    assert told == [
        "kdbench-cached left out: no run would have a cache here, for lack of memory",
        "compiling ...",
        "kdbench-compiled left out: no C++ compiler",
    ]


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

    loops = {"a": lambda count: steps("a", 0.001, count), "b": lambda count: steps("b", 0.01, count)}
    times = measure(loops, Budget(rounds=2, seconds=0.1), 50, CPU, lambda said: None)
    order = [name for name, _ in turns[-8:]]  # a lead-in before each turn
    assert order == ["a", "a", "b", "b", "b", "b", "a", "a"]
    longest = {name: max(count for own, count in turns if own == name) for name in loops}
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
