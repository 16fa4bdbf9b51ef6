"""`kdbench verify`: what was changed after it was written, and what contradicts itself, is told."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.files import UNSEALED, seal
from bench.store import Store
from bench.verify import verify
from tests.cli.commands import artifact, by_name

REPO = Path(__file__).parents[2]


def edit(folder: Path, record: dict, change: Callable[[dict[str, Any]], object]) -> Path:
    """Change a record and seal it anew."""
    path = folder / "results" / "runs" / f"{record['id']}.json"
    fields = json.loads(path.read_text())
    change(fields)
    path.write_text(seal(json.dumps(fields | {"digest": UNSEALED}).encode()).decode())
    return path


@pytest.fixture
def record(finished: Path) -> dict:
    return by_name(finished)["tiny/kd", 1]


def faults(folder: Path) -> list[str]:
    return verify(folder / "results").faults


def test_what_was_trained_is_well(finished: Path) -> None:
    seen = verify(finished / "results")
    assert (len(seen.records), seen.unsealed, seen.artifacts, seen.unplaced, seen.faults) == (6, 0, 6, {}, [])


def test_the_records_that_are_brought_along_are_well() -> None:
    seen = verify(REPO / "results")
    assert len(seen.records) >= 141
    assert (seen.unplaced, seen.faults, seen.unlisted) == ({}, [], 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r["results"][0].update(last_error=1.0), "the errors of network 1 are not those of its curve"),
        (lambda r: r["results"][0].update(best_epoch=9), "the errors of network 1 are not those of its curve"),
        (lambda r: r["curve"].pop(0), "its curve has not every epoch once, in order"),
        (lambda r: r.update(curve=r["curve"][:-1]), "its curve has 3 epochs of 4"),
        (lambda r: r.update(seed=2), "its key or its id is not what its recipe comes to"),
        (lambda r: r["recipe"]["schedule"].update(lr=9.0), "its key or its id is not what its recipe comes to"),
        (lambda r: r["versions"].update(engine=99), "its key or its id is not what its recipe comes to"),
        (lambda r: r["taken"]["teacher"].update(artifact="0"), "its teacher is not the artifact that paper-"),
        (lambda r: r.update(artifact="0"), "not the file that its record describes"),
        (lambda r: r.update(status="diverged"), "the errors of network 1 are not those of its curve"),
    ],
)
def test_a_record_that_contradicts_itself_is_told(
    finished: Path, record: dict, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    edit(finished, record, change)
    assert any(message in fault and record["id"] in fault for fault in faults(finished))


def test_a_record_that_was_edited_is_told_and_the_others_are_looked_at(finished: Path, record: dict) -> None:
    path = finished / "results" / "runs" / f"{record['id']}.json"
    path.write_text(path.read_text().replace('"seed": 1', '"seed": 3'))
    other = edit(finished, by_name(finished)["tiny/vanilla", 2], lambda r: r.update(seed=4))
    told = faults(finished)
    assert any(fault.startswith(f"{path}: was changed after it was written") for fault in told)
    assert any(fault.startswith(f"{other.stem}: its key or its id") for fault in told)


def test_weights_and_checkpoints_are_looked_at(finished: Path, record: dict) -> None:
    weights = artifact(finished, record)
    weights.write_bytes(weights.read_bytes()[:-1])
    stray = weights.with_name("paper-stray.safetensors")
    stray.write_bytes(b"")
    unfinished = finished / "results" / "checkpoints" / "paper-1.safetensors"
    unfinished.parent.mkdir(exist_ok=True)
    unfinished.write_bytes(b"")
    assert faults(finished) == [
        f"{weights}: not the file that its record describes",
        f"{stray}: no record describes it",
        f"{unfinished}: damaged, or another run's; it will be set aside",
    ]


def test_a_listed_record_that_is_gone_is_told(finished: Path) -> None:
    (finished / "results" / "runs.sha256").write_text("0  runs/paper-gone.json\n")
    assert faults(finished) == [f"{finished}/results/runs/paper-gone.json: is listed in runs.sha256, but is not there"]


def test_a_record_whose_source_is_not_here_is_said_to_be_unchecked(finished: Path, record: dict) -> None:
    (finished / "results" / "runs" / f"{record['taken']['teacher']['record']}.json").unlink()
    seen = verify(finished / "results")
    assert seen.unplaced == {
        by_name(finished)["tiny/kd", seed]["id"]: "the record of a source is not here" for seed in (1, 2)
    }


def test_the_command_ends_with_a_line_for_each_fault(
    finished: Path, record: dict, kdbench: Callable[..., tuple[int, str, str]]
) -> None:
    code, out, err = kdbench("verify")
    assert (code, err) == (0, "")
    assert out.endswith("all is well\n")
    edit(finished, record, lambda r: r.update(seed=2))
    code, out, err = kdbench("verify")
    assert code == 2
    assert err == f"kdbench: {record['id']}: its key or its id is not what its recipe comes to\n"
    assert "all is well" not in out


def test_an_edited_number_reaches_no_table(
    finished: Path, record: dict, kdbench: Callable[..., tuple[int, str, str]]
) -> None:
    path = finished / "results" / "runs" / f"{record['id']}.json"
    error = Store(finished / "results").by_stem[record["id"]].results[0].last_error
    path.write_text(path.read_text().replace(f'"last_error": {error}', '"last_error": 0.01'))
    code, _, err = kdbench("report", "tiny")
    assert code == 2
    assert f"{record['id']}.json: was changed after it was written (its digest differs)" in err
