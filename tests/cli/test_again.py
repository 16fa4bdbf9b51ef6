"""`run --again` and `verify --again`: what has a record is trained again, and compared with it."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.files import UNSEALED, seal
from bench.graph import plan
from bench.project import Project, select
from tests.cli.commands import artifact, by_name, forget, records

Kdbench = Callable[..., tuple[int, str, str]]
HERE = ("--device", "cpu", "--at-once", "1")


def edit(folder: Path, record: dict, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a record and seal it anew."""
    path = folder / "results" / "runs" / f"{record['id']}.json"
    fields = json.loads(path.read_text())
    change(fields)
    path.write_text(seal(json.dumps(fields | {"digest": UNSEALED}).encode()).decode())


def off_by(points: float) -> Callable[[dict[str, Any]], None]:
    """As if another machine had come to another error, and to other weights."""

    def change(fields: dict[str, Any]) -> None:
        (result,), last = fields["results"], fields["curve"][-1]["networks"][0]
        result["last_error"] = last["test_error"] = result["last_error"] + points
        result["best_error"] = min(entry["networks"][0]["test_error"] for entry in fields["curve"])
        result["best_epoch"] = [e["networks"][0]["test_error"] for e in fields["curve"]].index(result["best_error"]) + 1
        fields |= {"artifact": "0" * 64, "device": "Another CPU, 1 threads"}

    return change


@pytest.mark.parametrize(
    "named", [("--again", "tiny/vanilla#1"), ("tiny", "--row", "vanilla", "--seed", "1", "--again")]
)
def test_a_run_comes_to_the_same_bits_beside_its_first_record(
    finished: Path, kdbench: Kdbench, named: tuple[str, ...]
) -> None:
    first = by_name(finished)["tiny/vanilla", 1]
    path = finished / "results" / "runs" / f"{first['id']}.json"
    before = path.read_bytes()
    code, out, err = kdbench("run", *named, *HERE)
    assert (code, err) == (0, "")
    assert "1 of 1 runs to train" in out
    error = first["results"][0]["last_error"]
    told = f"tiny/vanilla seed 1: reproduced bit for bit: error {error:.2f} %, artifact {first['artifact'][:16]}\n"
    assert out.endswith(told)
    assert path.read_bytes() == before
    again = json.loads((finished / "results" / "runs" / f"{first['id']}.r2.json").read_text())
    assert (again["replica"], again["artifact"]) == (2, first["artifact"])
    assert len(records(finished)) == 7


@pytest.mark.parametrize(("points", "word"), [(0.01, "within noise"), (60.0, "not reproduced")])
def test_another_number_is_within_noise_or_not(finished: Path, kdbench: Kdbench, points: float, word: str) -> None:
    first = by_name(finished)["tiny/vanilla", 1]
    edit(finished, first, off_by(-points))
    code, out, _ = kdbench("run", "--again", "tiny/vanilla#1", *HERE)
    assert code == 0
    sign = "≤" if word == "within noise" else ">"
    told = rf"tiny/vanilla seed 1: {word}: error .* %, first .* %; difference {points:.2f} {sign} .*, as two draws of"
    assert re.search(told, out)
    assert "; other than the first: device " in out


def test_sources_whose_weights_are_gone_are_trained_too(finished: Path, kdbench: Kdbench) -> None:
    teacher = by_name(finished)["tiny/vanilla", 1]
    artifact(finished, teacher).unlink()
    code, out, err = kdbench("run", "--again", "tiny/kd#2", *HERE)
    assert (code, err) == (0, "")
    assert "2 of 2 runs to train" in out
    assert "tiny/kd seed 2: reproduced bit for bit" in out
    assert by_name(finished)["tiny/kd", 2]["taken"]["teacher"]["record"] == f"{teacher['id']}.r2"


def test_what_has_no_record_is_trained_and_has_nothing_to_compare_with(finished: Path, kdbench: Kdbench) -> None:
    forget(finished, by_name(finished)["tiny/kd", 1])
    code, out, _ = kdbench("run", "--again", "tiny/kd#1", *HERE)
    assert code == 0
    assert out.endswith("tiny/kd seed 1: had no record to compare with\n")


def test_a_dry_run_says_what_would_be_trained_again(finished: Path, kdbench: Kdbench) -> None:
    code, out, _ = kdbench("run", "--again", "tiny/kd#1", "--dry-run")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["done", "again", "profile"]
    assert len(records(finished)) == 6


def test_one_run_can_be_named_without_again(project: Path, kdbench: Kdbench) -> None:
    code, out, err = kdbench("run", "tiny/kd#2", "--profile", "smoke", *HERE)
    assert code == 0, err
    assert sorted((r["name"], r["seed"]) for r in records(project)) == [("tiny/kd", 2), ("tiny/vanilla", 1)]
    assert "the paper profile has 2 runs to train" in out


@pytest.mark.usefixtures("project")
def test_a_run_and_rows_do_not_go_together(kdbench: Kdbench) -> None:
    message = "kdbench: 'tiny/kd#1' names one run: --row and --seed go with the name of a table\n"
    assert kdbench("run", "tiny/kd#1", "--row", "kd") == (2, "", message)


def test_a_figure_names_the_command_that_makes_what_it_needs(finished: Path, kdbench: Kdbench) -> None:
    shutil.rmtree(finished / "results" / "artifacts")
    figure = ("figure", "temperature", "tiny/vanilla#1")
    code, _, err = kdbench(*figure)
    assert err == "kdbench: what tiny/vanilla#1 left is not here; `kdbench run --again tiny/vanilla#1` trains it\n"
    assert code == 2
    assert kdbench("run", "--again", "tiny/vanilla#1", *HERE)[0] == 0
    assert kdbench(*figure)[0] == 0


def test_a_run_that_diverged_left_nothing(finished: Path, kdbench: Kdbench) -> None:
    record = by_name(finished)["tiny/vanilla", 1]
    artifact(finished, record).unlink()
    edit(finished, record, lambda fields: fields.update(status="diverged", artifact=None))
    message = "kdbench: tiny/vanilla#1 diverged, and left nothing\n"
    assert kdbench("figure", "temperature", "tiny/vanilla#1") == (2, "", message)


def cheap(folder: Path, name: str, seed: int) -> dict:
    """Make a record the cheapest of all."""
    record = by_name(folder)[name, seed]
    edit(folder, record, lambda fields: fields.update(seconds=0.001))
    return record


@pytest.fixture
def own(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The finished project, without the records that are brought along: real data may be here."""
    monkeypatch.setattr(Project, "shipped_results", None)
    return finished


def test_verify_trains_the_cheapest_again(own: Path, kdbench: Kdbench) -> None:
    record = cheap(own, "tiny/vanilla", 2)
    code, out, err = kdbench("verify", "--again", "1")
    assert (code, err) == (0, "")
    assert "all is well\n1 of 6 recorded runs whose data are here, the cheapest; they took 0.0 s\n" in out
    assert "tiny/vanilla seed 2: reproduced bit for bit" in out
    assert out.endswith("1 reproduced bit for bit, 0 within noise, 0 left out\n")
    assert (own / "results" / "runs" / f"{record['id']}.r2.json").exists()


def test_verify_draws_by_a_seed(own: Path, kdbench: Kdbench) -> None:
    drawn = [kdbench("verify", "--again", "1", "--seed", seed)[1] for seed in ("5", "5")]
    assert all("drawn with seed 5" in out for out in drawn)
    first, second = (re.findall(r"(\S+ seed \d): reproduced bit for bit", out) for out in drawn)
    assert len(first) == 1
    assert first == second


def test_verify_ends_with_a_line_for_what_is_not_reproduced(own: Path, kdbench: Kdbench) -> None:
    record = cheap(own, "tiny/vanilla", 2)
    artifact(own, record).unlink()
    edit(own, record, off_by(-60))
    code, out, err = kdbench("verify", "--again", "1")
    assert code == 2
    assert err.startswith("kdbench: tiny/vanilla seed 2: not reproduced: error ")
    assert err.count("\n") == 1
    assert "bit for bit" not in out


def test_verify_without_again_takes_no_seed(kdbench: Kdbench) -> None:
    assert kdbench("verify", "--seed", "1") == (2, "", "kdbench: --seed and --data go with --again\n")


@pytest.mark.usefixtures("project")
def test_verify_says_that_nothing_can_be_trained_again(kdbench: Kdbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Project, "shipped_results", None)
    code, _, err = kdbench("verify", "--again", "1")
    assert code == 2
    assert err.startswith("kdbench: no recorded run can be trained again here")


def test_what_is_selected(finished: Path) -> None:
    library = Project.find().library()
    table = select(library, "tiny", "paper", ["kd"], [2])
    run = select(library, "tiny/kd#2", "paper")
    assert [one.key for one in table.asked] == [one.key for one in run.asked]
    assert [one.key for one in run.needed] == [*plan(library, ["tiny"], "paper", rows=["kd"], seeds=[2]).runs]
    assert (run.table, run.rows, run.seeds) == ("tiny", ["kd"], [2])
