"""The probe of a training step, as far as a CPU has one: without graphs, and with operations for kernels."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bench.benchmark import probe
from bench.benchmark.contenders import training_of
from bench.benchmark.task import Workload, make_task
from bench.errors import DeviceError

CPU = torch.device("cpu")
# What is not asked of a machine where nothing can be installed.
ABSENT = ("PIL", "fvcore", "gensim", "matplotlib", "pandas", "rich", "scipy", "tabulate", "torchvision", "typer")
DRY = [
    "--tiny",
    "--device",
    "cpu",
    "--table",
    "fsp-narrow",
    "--row",
    "student-alone",
    "--steps",
    "2",
    "--streams",
    "1,2",
]


def test_everything_is_told_where_little_is_installed(tmp_path: Path) -> None:
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({ABSENT}));"
        f"from bench.benchmark.probe import main; main({[*DRY, '--out', str(tmp_path)]})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "probe-student-alone.json").read_text())
    assert found["fused normalisation"] is False
    assert {name.partition(".")[2] for name in found["eager, sums of 10 steps"]} == {"ce", "hits"}
    assert all(found[name] > 0 for name in found if name.endswith(("ms a step", "ms a step a run", "us a step")))
    assert {"1 at once, ms a step a run", "2 at once, ms a step a run"} <= found.keys()
    assert "graph, ms a step" not in found
    table = (tmp_path / "probe-student-alone.txt").read_text().splitlines()
    assert len(table) > 10
    assert sum("convolution_backward" in line for line in table) >= 1
    assert all(name in done.stdout for name in found)


def test_the_weights_are_put_back() -> None:
    training = training_of(make_task(Workload("fsp-narrow", "student-alone", 1.0, computes=True), CPU, tiny=True))
    before = {name: value.clone() for name, value in training.job.networks[0].state_dict().items()}
    first = probe.sums(training, 3)
    assert all(torch.equal(value, before[name]) for name, value in training.job.networks[0].state_dict().items())
    assert probe.sums(training, 3) == first
    assert first["0.ce"] > 0


def test_a_failed_capture_leaves_the_whole_chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training = training_of(make_task(Workload("fsp-narrow", "student-alone", 1.0, computes=True), CPU, tiny=True))

    def capture() -> None:
        try:
            raise RuntimeError("something ran on the legacy stream")
        except RuntimeError as error:
            raise DeviceError("no CUDA graph of a step") from error

    monkeypatch.setattr(training, "capture", capture)
    with pytest.raises(DeviceError):
        probe.captured(training, tmp_path / "capture-error.txt")
    text = (tmp_path / "capture-error.txt").read_text()
    assert "legacy stream" in text
    assert "no CUDA graph of a step" in text


@pytest.mark.parametrize("wrong", [["--row", "nothing"], ["--streams", "x"], ["--device", "gpu"]])
def test_bad_input_is_one_line(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        probe.main([*DRY, *wrong])
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith("kdbench: ")
