"""A checkpoint is resumed only as it was written, and only by its own run; anything else is set aside."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.errors import StoreError
from bench.files import UNSEALED, about, seal, sha256
from bench.graph import Run
from bench.train import artifacts, checkpoint, engine
from bench.train.engine import Job
from bench.train.progress import Stopped
from tests.told import Told
from tests.train.tiny import job, runs_of, train


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> dict[str, Run]:
    return runs_of(tiny.parent)


@pytest.fixture(scope="module")
def written(runs: dict[str, Run], tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a checkpoint after two epochs of four."""
    made, done = job(runs["vanilla"], tmp_path_factory.mktemp("written"), precision="float32"), []
    with pytest.raises(Stopped):
        train(made, Told(after=done.append), out_of_time=lambda seconds: len(done) == 2)
    return made.checkpoint.read_bytes()


@pytest.fixture
def made(runs: dict[str, Run], tmp_path: Path) -> Job:
    return job(runs["vanilla"], tmp_path, precision="float32")


def resumed(made: Job, data: bytes, message: str) -> dict[str, Any] | None:
    """What resuming from these bytes gives, once it was warned of them; their file must have been kept."""
    made.checkpoint.write_bytes(data)
    training = engine.Training(made)
    before = {name: tensor.clone() for name, tensor in training._tensors().items()}
    with pytest.warns(UserWarning, match=rf"checkpoint\.safetensors: .*{message}.*; kept as .*, the run begins again$"):
        said = checkpoint.resume(made, training._tensors(), training.epochs)
    assert all(torch.equal(before[name], tensor) for name, tensor in training._tensors().items())
    assert not made.checkpoint.exists()
    return said


def forged(data: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """A checkpoint that says something else of itself, sealed anew."""
    said, length = about(data), int.from_bytes(data[:8], "little")
    change(said)
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"] = {"about": json.dumps(said), "digest": UNSEALED}
    text = json.dumps(header).encode()
    return seal(len(text).to_bytes(8, "little") + text + data[8 + length :])


@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_bit_that_flips_anywhere_is_noticed(made: Job, written: bytes, position: float, bit: int) -> None:
    data, at = bytearray(written), int(position * len(written))
    data[at] ^= 1 << bit
    with pytest.raises(ValueError, match=r"is damaged|no checkpoint"):
        checkpoint.checked(bytes(data), made.id, 4)


def test_as_it_was_written_it_is_resumed(made: Job, written: bytes) -> None:
    assert checkpoint.checked(written, made.id, 4)["epoch"] == 2
    assert checkpoint.checked(forged(written, lambda said: None), made.id, 4) == about(written)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.999])
def test_one_that_was_cut_short_is_set_aside(made: Job, written: bytes, share: float) -> None:
    assert resumed(made, written[: int(share * len(written))], "") is None
    assert [path.name for path in made.checkpoint.parent.iterdir()] == ["checkpoint.safetensors.damaged"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda said: said.update(epoch=3), "is of epoch 3 of 4, with a curve of 2"),
        (lambda said: said.update(epoch=4, curve=said["curve"] * 2), "is of epoch 4 of 4"),
        (lambda said: said.update(epoch=-1, curve=[]), "is of epoch -1"),
        (lambda said: said.update(epoch=2.0), r"checkpoint\.epoch: 2\.0 is not what belongs there"),
        (lambda said: said.update(epoch="2"), r"checkpoint\.epoch"),
        (lambda said: said.update(seconds=None), r"checkpoint\.seconds"),
        (lambda said: said.update(curve={}), r"checkpoint\.curve"),
        (lambda said: said["curve"][0].pop("epoch"), r"'epoch' is missing"),
        (lambda said: said.pop("threads"), "'threads' is missing"),
        (lambda said: said.update(id="paper-another"), "is that of another run, 'paper-another'"),
    ],
)
def test_one_that_says_what_cannot_be_is_set_aside(
    made: Job, written: bytes, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    assert resumed(made, forged(written, change), message) is None


def test_one_of_another_seed_under_this_name_is_set_aside(runs: dict[str, Run], made: Job, written: bytes) -> None:
    other = replace(made, id=replace(runs["vanilla"], seed=2).id)
    assert resumed(other, written, f"is that of another run, {made.id!r}") is None


def test_one_with_other_tensors_is_set_aside(made: Job) -> None:
    named = {"about": json.dumps({"id": made.id}), "digest": UNSEALED}
    said = {"taken": {}, "precision": "float32", "threads": 1, "epoch": 0, "seconds": 0.0, "curve": [], "answered": []}
    named["about"] = json.dumps({"id": made.id, **said})
    data = seal(artifacts.to_bytes({"0.weight": torch.zeros(3)}, named))
    assert resumed(made, data, "holds other tensors than this run has") is None


def test_one_of_another_version_of_kdbench_is_set_aside(made: Job) -> None:
    data = artifacts.to_bytes({}, {"about": json.dumps({"id": made.id, "epoch": 1})})
    assert resumed(made, data, "no checkpoint, or one that another version of kdbench began") is None


def test_every_one_that_is_set_aside_is_kept(made: Job, written: bytes) -> None:
    for text in (b"one", b"two"):
        assert resumed(made, text, "no checkpoint") is None
    kept = {path.name: path.read_bytes() for path in made.checkpoint.parent.iterdir()}
    assert kept == {"checkpoint.safetensors.damaged": b"one", "checkpoint.safetensors.damaged1": b"two"}


def test_a_run_whose_checkpoint_is_damaged_ends_as_if_it_had_none(
    runs: dict[str, Run], made: Job, written: bytes, tmp_path: Path
) -> None:
    made.checkpoint.write_bytes(written[:-1] + bytes([written[-1] ^ 1]))
    with pytest.warns(UserWarning, match="is damaged"):
        begun_again = train(made)
    whole = train(job(runs["vanilla"], tmp_path / "whole", precision="float32"))
    digests = [artifacts.write(tmp_path / name, o.tensors, {}) for name, o in (("a", begun_again), ("b", whole))]
    assert digests[0] == digests[1] == sha256(tmp_path / "a")


def test_another_kind_of_fault_is_the_persons_to_mend(runs: dict[str, Run], written: bytes, made: Job) -> None:
    made.checkpoint.write_bytes(written)
    with pytest.raises(StoreError, match="begun with other weights of its teacher"):
        train(replace(made, taken={"teacher": {"record": "another", "artifact": "0"}}))
    assert made.checkpoint.read_bytes() == written


def stopped_at(call: int) -> Callable[[float], bool]:
    """Time is up the ``call``-th time that it is asked for, and from then on."""
    calls: list[float] = []
    return lambda seconds: len(calls) >= call or bool(calls.append(seconds))


# An epoch asks once before it, after each of its 3 steps, and after the one batch of its test.
@pytest.mark.parametrize("row", ["vanilla", "kd", "dml"])
@pytest.mark.parametrize("call", [1, 3, 4, 7, 12])
def test_one_that_was_written_within_an_epoch_is_resumed_at_that_step_to_the_same_bits(runs, tmp_path, row, call):
    whole, told = train(job(runs[row], tmp_path / "whole", precision="float32"), Told()), Told()
    with pytest.raises(Stopped):
        train(job(runs[row], tmp_path, precision="float32"), told, out_of_time=stopped_at(call))
    assert about((tmp_path / "checkpoint.safetensors").read_bytes())["partial"]["step"] == min(call % 5, 3)
    resumed = train(job(runs[row], tmp_path, precision="float32"), told)
    assert [*told.steps] == [(epoch, step, 3) for epoch in range(1, 5) for step in range(1, 4)]
    assert [entry["networks"] for entry in resumed.curve] == [entry["networks"] for entry in whole.curve]
    assert resumed.tensors.keys() == whole.tensors.keys()
    assert all(torch.equal(resumed.tensors[name], tensor) for name, tensor in whole.tensors.items())


def test_one_of_an_older_kdbench_has_no_part_of_an_epoch(made: Job, written: bytes) -> None:
    older = forged(written, lambda said: said.pop("partial"))
    assert checkpoint.checked(older, made.id, 4)["epoch"] == 2
