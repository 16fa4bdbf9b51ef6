"""``kdbench run`` and the command of ``make gpu``: killed, resumed, without libraries, beside what is trained."""

import json
import math
import re
import shutil
import signal

import pytest

from bench.registry import SETS
from tests.cli.commands import ONE, RUN, artifact, by_name, finish, forget, records, start, wait_for_checkpoints

KD = (*RUN, "--row", "kd", "--seed", "1")
GPU = ("--device", "cpu", "--out", "packed", "--table", "tiny")


def test_a_killed_run_resumes_to_the_same_bits(slow, uninterrupted):
    process = start(slow, *ONE)
    wait_for_checkpoints(slow)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert records(slow) == []
    assert finish(start(slow, *ONE))[0] == 0
    (resumed,) = records(slow)
    assert resumed["artifact"] == uninterrupted["artifact"]
    assert resumed["results"] == uninterrupted["results"]
    assert not list((slow / "results" / "checkpoints").iterdir())


def test_ctrl_c_says_how_to_resume(slow):
    process = start(slow, *ONE)
    wait_for_checkpoints(slow)
    process.send_signal(signal.SIGINT)
    code, out, err = finish(process)
    assert code == 130
    assert "the same command resumes from the last checkpoint" in out
    assert "Traceback" not in err
    assert list((slow / "results" / "checkpoints").iterdir())


def test_a_table_is_trained_once_with_its_teacher_first(finished, kdbench):
    found = by_name(finished)
    assert len(found) == 6
    student, teacher = found["tiny/kd", 2], found["tiny/vanilla", 1]
    assert student["taken"]["teacher"] == {"record": teacher["id"], "artifact": teacher["artifact"]}
    # Three passes of the student, one of the teacher, each two FLOPs a multiply-add: 200 images, four epochs.
    (counted,) = json.loads((finished / "results" / "costs.json").read_text()).values()
    assert student["flops"] == 2 * counted["cost"]["macs"] * (3 + 1) * 200 * 4
    assert {key: student[key] for key in ("profile", "status", "seed")} == {
        "profile": "paper",
        "status": "done",
        "seed": 2,
    }
    code, out, _ = kdbench(*RUN)
    assert (code, "0 of 6 runs to train" in out) == (0, True)
    assert len(records(finished)) == 6


def test_lost_weights_of_a_teacher_are_trained_again_beside_its_record(finished, kdbench):
    found = by_name(finished)
    first = found["tiny/vanilla", 1]
    artifact(finished, first).unlink()
    forget(finished, found["tiny/kd", 1])
    code, _, err = kdbench(*KD, "--at-once", "1")
    assert code == 0, err
    replica = json.loads((finished / "results" / "runs" / f"{first['id']}.r2.json").read_text())
    assert replica["replica"] == 2
    # The same machine and code: the same weights.
    assert replica["artifact"] == first["artifact"]
    assert by_name(finished)["tiny/kd", 1]["taken"]["teacher"]["record"] == f"{first['id']}.r2"


def test_a_damaged_artifact_is_not_used(finished, kdbench):
    found = by_name(finished)
    weights = artifact(finished, found["tiny/vanilla", 1])
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    forget(finished, found["tiny/kd", 1])
    code, _, err = kdbench(*KD)
    assert code == 2
    assert "not the file that its record describes" in err
    assert len(err.splitlines()) == 1


def test_a_teacher_that_diverged_is_trained_once_until_it_is_asked_for_again(project, kdbench):
    recipe = project / "recipes" / "tiny" / "table.yaml"
    recipe.write_text(recipe.read_text(encoding="utf-8").replace("lr: 0.05", "lr: 1.0e+9"), encoding="utf-8")
    retry = "`kdbench run tiny --profile paper --retry-diverged` trains it again"
    why = f"its teacher, tiny/vanilla seed 1, diverged; {retry}"
    code, out, _ = kdbench(*KD, "--at-once", "1")
    assert (code, "tiny/vanilla seed 1: diverged" in out, f"tiny/kd seed 1: left out, {why}" in out) == (1, True, True)
    told = "kdbench: 1 of 2 runs were left out; the same command tries them again\n"
    gpu = ("gpu", "--budget", "20", *GPU)
    for command, ends in ((KD, (1, told)), ((*KD, "--dry-run"), (0, "")), (gpu, (0, ""))):
        code, out, err = kdbench(*command)
        assert (code, err) == ends
        assert f"tiny/kd seed 1: left out, {why}\n" in out
    assert all(record["replica"] == 1 for record in records(project))
    kdbench(*KD, "--retry-diverged")
    assert by_name(project)["tiny/vanilla", 1]["replica"] == 2


WITHOUT = """
for name in "gensim fvcore pydantic matplotlib pandas tabulate scipy torchvision typer rich".split():
    sys.modules[name] = None
from bench.cli.gpu import main; main()
"""
# A second for each checkpoint: no machine is fast enough to be done in time.
SLOWLY = """
import time
def save(training, save=engine.Training.save):
    time.sleep(1.0)
    save(training)
engine.Training.save = save
"""


def test_the_gpu_command_begins_with_the_most_valuable_stops_in_time_packs_and_goes_on(project, kdbench):
    """With a small budget on two machines: the second takes in what the first packed."""
    recipe = project / "recipes" / "tiny" / "table.yaml"
    recipe.write_text(recipe.read_text(encoding="utf-8").partition("  dml:\n")[0], encoding="utf-8")
    code, out, err = finish(start(project, "--budget", "8", *GPU, code=WITHOUT, everywhere=SLOWLY))
    assert code == 0, err
    assert "[1/4] tiny/vanilla seed 1" in out
    assert "out of time: the same command resumes there" in out
    assert all(part.stat().st_size <= 15 * 2**20 for part in (project / "packed").iterdir())
    before = {record["id"] for record in records(project)}
    for path in (project / "results").glob("*/*"):
        path.unlink()
    code, out, err = finish(start(project, "--budget", "100", "--at-once", "2", *GPU, code=WITHOUT))
    assert code == 0, err
    assert {record["id"] for record in records(project)} > before
    assert len(records(project)) == 4
    assert {record["side_by_side"] for record in records(project) if record["id"] not in before} == {2}
    for path in (project / "results" / "runs").iterdir():
        path.unlink()
    assert "4 records in packed, 4 of them new" in kdbench("collect", "packed")[1]


def test_paper_without_data_says_how_to_get_it(project, kdbench):
    recipe = project / "recipes" / "tiny" / "table.yaml"
    recipe.write_text(recipe.read_text().replace("set: synthetic10", "set: cifar10"), encoding="utf-8")
    code, _, err = kdbench(*ONE, "--data", "nowhere")
    assert code == 2
    assert "kdbench prepare cifar10" in err
    assert "--data FOLDER" in err
    assert "Traceback" not in err


def test_smoke_says_loudly_that_images_are_synthetic(project, kdbench):
    recipe = project / "recipes" / "tiny" / "table.yaml"
    recipe.write_text(recipe.read_text().replace("set: synthetic10", "set: cifar10"), encoding="utf-8")
    code, out, _ = kdbench("run", "tiny", "--profile", "smoke", "--row", "vanilla", "--seed", "1")
    assert code == 0
    assert "SYNTHETIC images (synthetic10)" in out
    assert "the paper profile has 1 runs to train" in out


def test_a_smoke_run_where_the_paper_profile_is_done(finished, kdbench):
    code, out, _ = kdbench("run", "tiny", "--profile", "smoke", "--row", "vanilla", "--seed", "1")
    assert code == 0
    assert "the paper profile has nothing left to train here\n" in out


def test_estimate_trains_nothing(project, kdbench):
    code, out, err = kdbench("estimate", "tiny", "--device", "cpu")
    assert code == 0, err
    assert "6 runs to train" in out
    assert "in all" in out
    assert "seeds that a verdict needs" not in out
    assert not (project / "results" / "runs").exists()


def test_an_estimate_fits_the_columns_that_there_are(project, kdbench, monkeypatch):
    monkeypatch.setenv("COLUMNS", "72")
    code, out, err = kdbench("estimate", "tiny", "--device", "cpu", "--gpus", "2")
    assert code == 0, err
    lines = out.splitlines()
    assert max(map(len, lines)) <= 72
    header = next(line for line in lines if "FLOPs a run" in line)
    # What is trained goes on below itself, and no word is broken.
    more = lines[lines.index(header) + 2]
    assert more.startswith(" " * header.index("what"))
    assert more.split()[0] in {"on", "auto,", "float32,", "batch", "from"} or "-" in more.split()[0]


def test_an_estimate_for_a_device_that_is_not_here_times_nothing(project, kdbench, monkeypatch):
    monkeypatch.setattr("bench.executors.estimate.estimate", lambda *_: pytest.fail("steps were timed"))
    code, out, err = kdbench("estimate", "tiny", "--tflops", "2e-6", "--gpus", "1")
    assert code == 0, err
    assert "profile paper at 2e-06 TFLOP/s, which you state: 6 runs to train\n" in out
    rows = re.findall(r"^ *(\d+) +([\d.]+) .* (\d\.\d\de[+]\d\d)  ", out, re.MULTILINE)
    assert sum(int(runs) for runs, _, _ in rows) == 6
    steps = 4 * math.ceil(SETS["synthetic10"].train * 0.1 / 48)
    for _, step, flops in rows:
        assert float(step) == pytest.approx(1e3 * float(flops) / 2e6 / steps, rel=0.01)
    assert "critical path" in out
    assert kdbench("estimate", "tiny", "--tflops", "0")[0] == 2


def publish(folder):
    recipe = folder / "recipes" / "tiny" / "table.yaml"
    cell = "{error: {value: 50.0, source: made up}}"
    text = recipe.read_text().replace("priority: 3, published: {}", f"priority: 3, published: {cell}")
    recipe.write_text(text, encoding="utf-8")


def test_estimate_says_how_many_seeds_a_verdict_needs(finished, kdbench):
    publish(finished)
    code, out, err = kdbench("estimate", "tiny", "--device", "cpu")
    assert code == 0, err
    assert "seeds that a verdict needs, each with a source of its own" in out
    assert re.search(r"\nvanilla: .*; standard deviation \d+\.\d\d seen, margin 0\.5\n", out)
    shutil.rmtree(finished / "results")
    assert (
        "not known yet: no row has two runs in the paper profile" in kdbench("estimate", "tiny", "--device", "cpu")[1]
    )


def test_a_high_temperature_softens_the_logits_of_a_run(finished, kdbench):
    arguments = ("figure", "temperature", "tiny/vanilla#1", "--at", "1", "--at", "100000", "--figure", "soft.png")
    code, out, err = kdbench(*arguments)
    assert code == 0, err
    rows = {line[:12].strip(): [float(x) for x in line.split()[3:]] for line in out.splitlines() if line[:3] == "T ="}
    sharp, flat = rows.values()
    assert sum(sharp) == pytest.approx(1, abs=1e-3)
    assert flat == pytest.approx([0.1] * 10, abs=1e-3)
    assert max(sharp) > max(flat)
    assert (finished / "soft.png").stat().st_size > 1000
    code, _, err = kdbench("figure", "temperature", "tiny/vanilla#1", "--image", "5000")
    assert (code, err) == (2, "kdbench: no test image 5000; they are numbered 0 to 99\n")
