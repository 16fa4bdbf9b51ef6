"""``kdbench run`` and the command of ``make gpu`` in processes of their own: killed, resumed, without libraries."""

import json
import signal

import pytest

from tests.cli.commands import finish, records, start, wait_for_checkpoints

RUN = ("run", "tiny", "--profile", "paper", "--device", "cpu")
ONE = (*RUN, "--row", "vanilla", "--seed", "1")


def test_a_killed_run_goes_on_to_the_same_bits(slow, tmp_path_factory):
    process = start(slow, *ONE)
    wait_for_checkpoints(slow)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert records(slow) == []
    assert finish(start(slow, *ONE))[0] == 0

    whole = tmp_path_factory.mktemp("whole")
    (whole / "recipes").symlink_to(slow / "recipes")
    assert finish(start(whole, *ONE))[0] == 0

    (resumed,), (uninterrupted,) = records(slow), records(whole)
    assert resumed["artifact"] == uninterrupted["artifact"]
    assert resumed["results"] == uninterrupted["results"]
    assert not list((slow / "results" / "checkpoints").iterdir())


def test_ctrl_c_says_how_to_go_on(slow):
    process = start(slow, *ONE)
    wait_for_checkpoints(slow)
    process.send_signal(signal.SIGINT)
    code, out, err = finish(process)
    assert code == 130
    assert "the same command goes on from the last checkpoint" in out
    assert "Traceback" not in err
    assert list((slow / "results" / "checkpoints").iterdir())


def test_a_table_is_trained_once_with_its_teacher_first(project):
    code, out, err = finish(start(project, *RUN))
    assert code == 0, err
    found = {(record["name"], record["seed"]): record for record in records(project)}
    assert len(found) == 6
    student, teacher = found["tiny/kd", 2], found["tiny/vanilla", 1]
    assert student["taken"]["teacher"] == {"record": teacher["id"], "artifact": teacher["artifact"]}
    assert student["flops"] is None
    assert {key: student[key] for key in ("profile", "status", "seed")} == {
        "profile": "paper",
        "status": "done",
        "seed": 2,
    }
    code, out, _ = finish(start(project, *RUN))
    assert "0 of 6 runs to train" in out
    assert len(records(project)) == 6


def test_lost_weights_of_a_teacher_are_trained_again_beside_its_record(project):
    finish(start(project, *ONE))
    (first,) = records(project)
    (project / "results" / "artifacts" / f"{first['id']}.safetensors").unlink()
    code, _, err = finish(start(project, *RUN, "--row", "kd", "--seed", "1"))
    assert code == 0, err
    replica = json.loads((project / "results" / "runs" / f"{first['id']}.r2.json").read_text())
    assert replica["replica"] == 2
    # The same machine and code: the same weights.
    assert replica["artifact"] == first["artifact"]
    (student,) = [record for record in records(project) if record["name"] == "tiny/kd"]
    assert student["taken"]["teacher"]["record"] == f"{first['id']}.r2"


def test_a_damaged_artifact_is_not_used(project):
    finish(start(project, *ONE))
    (first,) = records(project)
    artifact = project / "results" / "artifacts" / f"{first['id']}.safetensors"
    artifact.write_bytes(artifact.read_bytes()[:-1] + b"!")
    code, _, err = finish(start(project, *RUN, "--row", "kd", "--seed", "1"))
    assert code == 2
    assert "not the file that its record describes" in err
    assert len(err.splitlines()) == 1


WITHOUT = """
for name in "gensim fvcore pydantic matplotlib pandas tabulate scipy torchvision typer rich".split():
    sys.modules[name] = None
from bench.cli.gpu import main; main()
"""


def test_the_gpu_command_stops_in_time_packs_and_goes_on(slow):
    """Twice with a small budget on two machines: the second takes in what the first packed."""
    budget = ("--budget", "8", "--device", "cpu", "--out", "packed")
    code, out, err = finish(start(slow, *budget, code=WITHOUT))
    assert code == 0, err
    assert "out of time: the same command goes on from there" in out
    assert all(part.stat().st_size <= 15 * 2**20 for part in (slow / "packed").iterdir())
    before = {record["id"] for record in records(slow)}
    for path in (slow / "results").glob("*/*"):
        path.unlink()
    code, out, err = finish(start(slow, "--budget", "100", "--device", "cpu", "--out", "packed", code=WITHOUT))
    assert code == 0, err
    assert {record["id"] for record in records(slow)} > before
    assert len(records(slow)) == 6
    for path in (slow / "results" / "runs").iterdir():
        path.unlink()
    code, out, err = finish(start(slow, "collect", "packed"))
    assert "6 records in packed, 6 of them new" in out


def test_the_most_valuable_run_is_first(slow):
    _, out, _ = finish(start(slow, "--budget", "1", "--device", "cpu", "--out", "packed", code=WITHOUT))
    assert "[1/6] tiny/vanilla seed 1" in out


def test_paper_without_data_says_how_to_get_it(project):
    recipe = project / "recipes" / "tiny" / "table.yaml"
    recipe.write_text(recipe.read_text().replace("set: synthetic10", "set: cifar10"), encoding="utf-8")
    code, _, err = finish(start(project, *ONE, "--data", "nowhere"))
    assert code == 2
    assert "kdbench prepare cifar10" in err
    assert "--data FOLDER" in err
    assert "Traceback" not in err


def test_smoke_without_data_says_loudly_that_images_are_made_up(project):
    recipe = project / "recipes" / "tiny" / "table.yaml"
    recipe.write_text(recipe.read_text().replace("set: synthetic10", "set: cifar10"), encoding="utf-8")
    code, out, _ = finish(start(project, "run", "tiny", "--profile", "smoke", "--row", "vanilla", "--seed", "1"))
    assert code == 0
    assert "MADE-UP images (synthetic10)" in out
    assert "the paper profile has 1 runs to train" in out


def test_estimate_trains_nothing(project):
    code, out, err = finish(start(project, "estimate", "tiny", "--device", "cpu"))
    assert code == 0, err
    assert "6 runs to train" in out
    assert "in all" in out
    assert not (project / "results" / "runs").exists()


def test_a_high_temperature_softens_the_logits_of_a_run(project):
    assert finish(start(project, *ONE))[0] == 0
    arguments = ("temperature", "tiny/vanilla#1", "--at", "1", "--at", "100000", "--figure", "soft.png")
    code, out, err = finish(start(project, *arguments))
    assert code == 0, err
    rows = {line[:12].strip(): [float(x) for x in line.split()[3:]] for line in out.splitlines() if line[:3] == "T ="}
    sharp, flat = rows.values()
    assert sum(sharp) == pytest.approx(1, abs=1e-3)
    assert flat == pytest.approx([0.1] * 10, abs=1e-3)
    assert max(sharp) > max(flat)
    assert (project / "soft.png").stat().st_size > 1000
    code, _, err = finish(start(project, "temperature", "tiny/vanilla#1", "--image", "5000"))
    assert (code, err) == (2, "kdbench: no test image 5000; they are numbered 0 to 99\n")
