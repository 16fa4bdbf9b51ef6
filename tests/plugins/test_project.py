"""A stranger's project: its methods, networks, data set, optimiser and schedules train, resume and are reported."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from bench import recipe
from bench.build import Builder, Inputs
from bench.cli.app import main
from bench.counting import Costs
from bench.executors.local import Local
from bench.graph import Graph, Run, plan
from bench.record import Record
from bench.store import Store
from bench.train import artifacts
from bench.train.engine import Training
from bench.train.progress import Stopped, Unwatched, run_to_completion
from tests.operations import READING, Operations

CPU = torch.device("cpu")
ROWS = ["rkd", "crd", "mean-teacher", "ensemble", "groupnorm", "mobilenet", "polynomial", "squares"]


@pytest.fixture(scope="module")
def graph(project: Path) -> Graph:
    return plan(recipe.load(project / "recipes"), ["examples"], "smoke")


@pytest.fixture(scope="module")
def local(project: Path, graph: Graph) -> Local:
    """Carries runs out in the project; both teachers are trained."""
    local = executor(project, project / "results")
    for teacher in graph.rows["examples", "teacher"].values():
        carry_out(local, teacher)
    return local


def executor(project: Path, results: Path) -> Local:
    return Local(Store(results), Costs(results / "costs.json", {}), Builder(project / "data", CPU))


def carry_out(local: Local, run: Run, out_of_time: Callable[[float], bool] = lambda seconds: False) -> Record:
    return run_to_completion(local.execute(run, Unwatched(), out_of_time))


@pytest.mark.parametrize("row", ROWS)
def test_it_trains_and_resumes_to_the_same_bits(
    row: str, project: Path, graph: Graph, local: Local, tmp_path: Path
) -> None:
    run = graph.rows["examples", row][1]
    whole = carry_out(local, run)
    assert whole.status == "done"
    # Elsewhere, with the same teachers: stopped after the first epoch, and resumed by another executor.
    (tmp_path / "artifacts").mkdir()
    for teacher in run.teachers:
        record = local.store.current_record(teacher)
        Store(tmp_path).add(record)
        shutil.copy(local.store.artifact(record.stem), tmp_path / "artifacts")
    with pytest.raises(Stopped):
        carry_out(executor(project, tmp_path), run, lambda seconds: seconds > 0)
    assert Store(tmp_path).checkpoint(run).is_file()
    resumed = carry_out(executor(project, tmp_path), run)
    assert resumed.artifact == whole.artifact
    assert [entry["networks"] for entry in resumed.curve] == [entry["networks"] for entry in whole.curve]


def test_a_record_says_which_plug_in_it_rests_on(graph: Graph, local: Local) -> None:
    run = graph.rows["examples", "polynomial"][1]
    record = local.store.current_record(run) or carry_out(local, run)
    assert record.plugins.keys() == {"decay polynomial", "optimizer adamw"}
    described = record.plugins["optimizer adamw"]
    assert described["name"] == "rates_and_steps.py"
    assert len(described["digest"]) == 16


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.usefixtures("as_on_a_device")
def test_a_step_reads_nothing_back_and_its_state_is_all_in_the_checkpoint(
    row: str, graph: Graph, local: Local, tmp_path: Path
) -> None:
    # What a captured graph needs: no value on the host, and no tensor that changes unseen.
    run = graph.rows["examples", row][1]
    sources = {edge: artifacts.load(local.store, source) for edge, source in run.sources.items()}
    inputs = Inputs({edge: tensors for edge, (_, tensors) in sources.items()}, {edge: {} for edge in sources})
    step = Training(local.builder.job(run, inputs, tmp_path / "unfinished"))
    step.begin(0, 2)
    step.mode(training=True)
    with Operations() as operations:
        step.train_loop.run(1)
    assert operations.names & READING == set()
    # The memory, the average and whatever else it has: changed by a step, and among the tensors that are kept.
    kept = {tensor.data_ptr() for tensor in step._tensors().values()}
    own = step.job.parts.state_dict().values()
    assert {tensor.data_ptr() for tensor in own if tensor.numel()} <= kept


@pytest.fixture
def kdbench(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., tuple[int, str, str]]]:
    monkeypatch.chdir(project)
    monkeypatch.delenv("KDBENCH_DATA", raising=False)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["kdbench", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capfd.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


def test_check_cost_and_report_know_it(kdbench, graph: Graph, local: Local) -> None:
    carry_out(local, graph.rows["examples", "groupnorm"][2])
    assert kdbench("check")[0] == 0
    code, out, err = kdbench("cost", "examples")
    assert (code, err) == (0, "")
    by_network = {line.split(" (")[0]: line.split()[-3:] for line in out.splitlines()[2:] if " (" in line}
    assert all("-" not in cells for cells in by_network.values())
    code, out, _ = kdbench("report", "examples", "--profile", "smoke", "--format", "json")
    rows = {row["name"]: row for row in json.loads(out)["lines"]}
    assert code == 0
    assert "2" in rows["groupnorm"]["smaller"][0]["values"]
    assert rows["groupnorm"]["costs"]["trcost"]["derived"] > 0
    # Two teachers run in each step beside the student.
    assert rows["ensemble"]["costs"]["trcost"]["derived"] > 2 * rows["teacher"]["costs"]["trcost"]["derived"]


def test_planning_and_reporting_it_import_no_torch(project: Path) -> None:
    script = "import sys; from bench.cli.app import main; sys.argv = {0!r}\ntry: main()\nexcept SystemExit: pass\n"
    for words in (["list"], ["check"], ["report", "examples"], ["run", "examples", "--dry-run", "--profile", "paper"]):
        code = f"{script.format(['kdbench', *words])}\nassert 'torch' not in sys.modules"
        repo = str(Path(__file__).parents[2])
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=project,
            env={**os.environ, "PYTHONPATH": repo},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr


def test_without_its_plug_ins_only_the_shipped_rows_of_a_project_are_left(kdbench, project: Path) -> None:
    hidden = project / "hidden"
    (project / "plugins").rename(hidden)
    from bench import registry

    kept = registry.METHODS.pop("own_rkd")
    try:
        code, _, err = kdbench("check")
        assert code == 2
        assert "row rkd.method: 'own_rkd' is not known" in err
        code, out, err = kdbench("report", "examples")
        assert code == 0
        assert err.startswith("kdbench: examples/rkd is left out: ")
        assert len(err.splitlines()) == 1
        assert "GroupNorm" in out
    finally:
        registry.METHODS["own_rkd"] = kept
        hidden.rename(project / "plugins")
