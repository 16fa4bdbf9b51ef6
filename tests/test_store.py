"""Records on disk: what is written is what is read, nothing is overwritten, nothing unverified is used."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import StoreError
from bench.files import UNSEALED, seal, sha256, write_atomic, write_once
from bench.graph import Run, plan
from bench.record import SCHEMA, Result, from_json, to_json
from bench.store import Store
from tests.handmade import epoch, library, record

finite = st.floats(allow_nan=False, allow_infinity=False)
errors = st.none() | st.floats(0, 100)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return plan(library(tmp_path_factory.mktemp("recipe")), ["small"], "paper").rows["small", "kd"][1]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


def with_weights(store: Store, stem: str, data: bytes = b"weights") -> str:
    write_atomic(store.artifact(stem), data)
    return sha256(store.artifact(stem))


@given(
    results=st.lists(st.builds(Result, errors, errors, st.none() | st.integers(1, 300)), max_size=3),
    curve=st.lists(st.builds(epoch, st.integers(1, 300), st.floats(0, 100)), max_size=3),
    seconds=finite,
    flops=st.none() | st.integers(0, 10**30),
    warnings=st.lists(st.text()),
    replica=st.integers(1, 9),
)
@settings(max_examples=40, deadline=None)
def test_a_record_survives_writing_and_reading(run: Run, **said: object) -> None:
    before = record(run, **said)
    assert from_json(to_json(before), "a.json") == before


def test_a_record_is_written_a_line_for_a_field_and_for_an_epoch(run: Run) -> None:
    text = to_json(record(run, curve=[epoch(1), epoch(2)]))
    assert ' "seed": 1,\n' in text
    assert text.endswith(f' "curve": [\n  {json.dumps(epoch(1))},\n  {json.dumps(epoch(2))}\n ]\n}}\n')


def test_a_store_finds_what_another_one_wrote(store: Store, run: Run) -> None:
    assert store.current_record(run) is None
    path = store.add(record(run))
    assert path == store.root / "runs" / f"{run.id}.json"
    assert store.current_record(run) == Store(store.root).current_record(run) == record(run)


def test_writing_leaves_no_part(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a" / "b", b"one")
    write_atomic(tmp_path / "a" / "b", b"two")
    write_once(tmp_path / "a" / "c", b"three")
    assert {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()} == {"b": b"two", "c": b"three"}


def test_a_record_is_never_overwritten(store: Store, run: Run) -> None:
    path = store.add(record(run, seconds=1.0))
    with pytest.raises(StoreError, match="is already there; nothing was overwritten"):
        store.add(record(run, seconds=2.0))
    assert from_json(path.read_text(), "a").seconds == 1.0
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_replicas_are_numbered_and_stand_beside_the_first(store: Store, run: Run) -> None:
    assert store.replica(run) == 1
    for number in (1, 2, 3):
        store.add(record(run, replica=store.replica(run)))
        assert store.replica(run) == number + 1
    names = sorted(path.name for path in (store.root / "runs").iterdir())
    assert names == [f"{run.id}.json", f"{run.id}.r2.json", f"{run.id}.r3.json"]


def test_the_first_replica_counts(store: Store, run: Run) -> None:
    store.add(record(run, replica=2))
    store.add(record(run, replica=1))
    assert store.current_record(run) == Store(store.root).current_record(run) == record(run)


def test_a_replica_that_is_done_counts_more_than_one_that_diverged(store: Store, run: Run) -> None:
    store.add(record(run, status="diverged"))
    store.add(record(run, replica=2))
    assert store.current_record(run) == record(run, replica=2)


def test_the_current_version_is_preferred_to_a_newer_record_of_an_older_one(store: Store, run: Run) -> None:
    store.add(record(run))
    store.add(record(run, id="paper-old", finished="2035-01-01T00:00:00+00:00"))
    assert store.latest_record(run) == record(run)


def test_of_older_versions_the_newest_record_is_shown(store: Store, run: Run) -> None:
    for year in (2033, 2035, 2034):
        store.add(record(run, id=f"paper-{year}", finished=f"{year}-01-01T00:00:00+00:00"))
    found = store.latest_record(run)
    assert store.current_record(run) is None
    assert found is not None
    assert found.id == "paper-2035"


def test_a_record_without_its_artifact_is_no_source(store: Store, run: Run) -> None:
    store.add(record(run, artifact="digest"))
    assert store.available_artifact(run) is None


def test_a_record_that_left_no_artifact_is_no_source(store: Store, run: Run) -> None:
    with_weights(store, run.id)
    store.add(record(run, status="diverged", artifact=None))
    assert store.available_artifact(run) is None


def test_the_artifact_of_an_older_version_is_no_source(store: Store, run: Run) -> None:
    store.add(record(run, id="paper-old", artifact=with_weights(store, "paper-old")))
    assert store.available_artifact(run) is None


def test_a_replica_whose_artifact_is_here_is_a_source(store: Store, run: Run) -> None:
    store.add(record(run, artifact="gone"))
    digest = with_weights(store, f"{run.id}.r2")
    store.add(record(run, artifact=digest, replica=2))
    usable = store.available_artifact(run)
    assert usable is not None
    assert usable == (record(run, artifact=digest, replica=2), store.artifact(f"{run.id}.r2"))
    assert store.verified(*usable) == usable[1]


def test_committed_weights_are_a_source(store: Store, run: Run) -> None:
    path = store.root / "weights" / f"{run.id}.safetensors"
    write_atomic(path, b"weights")
    store.add(record(run, artifact=sha256(path)))
    usable = store.available_artifact(run)
    assert usable is not None
    assert usable[1] == path


def test_an_artifact_with_other_bytes_is_refused(store: Store, run: Run) -> None:
    store.add(record(run, artifact=with_weights(store, run.id)))
    store.artifact(run.id).write_bytes(b"weightz")
    usable = store.available_artifact(run)
    assert usable is not None
    with pytest.raises(StoreError, match=rf"{run.id}.safetensors: not the file that its record describes"):
        store.verified(*usable)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "3", '{"schema": 1}', '{"schema": "one"}', '{"schema": 1, "results": [{"error": 1}]}'],
)
def test_a_corrupted_record_is_one_clear_error(store: Store, text: str) -> None:
    write_atomic(store.root / "runs" / "paper-1.json", text.encode())
    with pytest.raises(
        StoreError, match=r"paper-1\.json: not a record .*; move the file away, or take it from version"
    ):
        Store(store.root)


def test_half_a_record_is_one_clear_error(store: Store, run: Run) -> None:
    path = store.add(record(run))
    path.write_text(path.read_text()[:200])
    with pytest.raises(StoreError, match="not a record"):
        Store(store.root)


def edited(text: str, change: Callable[[dict[str, Any]], object]) -> str:
    """A record after somebody changed it, sealed anew."""
    fields = json.loads(text)
    change(fields)
    return seal(json.dumps(fields | {"digest": UNSEALED}).encode()).decode()


def test_a_file_in_the_place_of_the_records_is_not_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("nothing")
    with pytest.raises(StoreError, match="runs: Not a directory; kdbench needs a folder there"):
        Store(tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"last_error": 30.0', '"last_error": 29.0'),
        ('"test_error": 30.0', '"test_error": 29.0'),
        ('"status": "done"', '"status": "diverged"'),
        ('"seconds": 1.0,\n', '"seconds": 2.0,\n'),
        ('"device": "Imaginary GPU"', '"device": "Imaginary  GPU"'),
        ("\n}\n", "\n}\n\n"),
        ('"digest": "', '"digest": "0'),
        ('"digest"', '"digets"'),
        ('"schema": 2', '"schema": 1'),
    ],
)
def test_a_record_that_was_changed_is_not_believed(store: Store, run: Run, old: str, new: str) -> None:
    path = store.add(record(run))
    before = path.read_text()
    path.write_text(before.replace(old, new, 1))
    assert path.read_text() != before
    with pytest.raises(StoreError, match=rf"{run.id}\.json: was changed after it was written .*; move the file away"):
        Store(store.root)


@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(max_examples=100, deadline=None)
def test_no_bit_of_a_record_flips_unseen(run: Run, position: float, bit: int) -> None:
    data = bytearray(to_json(record(run)).encode())
    data[int(position * len(data))] ^= 1 << bit
    with pytest.raises(StoreError):
        from_json(data.decode(errors="replace"), "a.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.update(seed="1"), r"record\.seed: '1' is not what belongs there"),
        (lambda r: r.update(seed=True), r"record\.seed: True"),
        (lambda r: r.update(status="well"), r"record\.status: 'well'"),
        (lambda r: r.update(seconds=None), r"record\.seconds: None"),
        (lambda r: r["results"][0].update(last_error="30"), r"record\.results\[0\]\.last_error: '30'"),
        (lambda r: r["results"][0].pop("best_error"), r"record\.results\[0\]: 'best_error' is missing"),
        (lambda r: r.update(results={}), r"record\.results: \{\}"),
        (lambda r: r.update(taken={"teacher": "x"}), r"record\.taken\.teacher: 'x'"),
        (lambda r: r.update(warnings=[1]), r"record\.warnings\[0\]: 1"),
        (lambda r: r.update(schema="2"), r"record\.schema: '2'"),
        (lambda r: r.pop("device"), r"'device' is missing"),
    ],
)
def test_a_field_of_another_type_makes_it_no_record(
    run: Run, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    with pytest.raises(StoreError, match=rf"a\.json: not a record \(.*{message}"):
        from_json(edited(to_json(record(run)), change), "a.json")


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r.update(curve=[3]),
        lambda r: r["curve"][0].update(epoch="1"),
        lambda r: r["curve"][0]["networks"][0].pop("loss"),
    ],
)
def test_a_curve_of_another_shape_makes_it_no_record(run: Run, change: Callable[[dict[str, Any]], object]) -> None:
    curve = from_json(edited(to_json(record(run)), change), "a.json").curve
    with pytest.raises(StoreError, match=r"a\.json: not a record \(curve"):
        len(curve)


@pytest.mark.parametrize("text", ['{"schema": NaN}', '{"schema": 1e999, "curve": []}', "[" * 100_000])
def test_what_json_does_not_know_is_no_record(text: str) -> None:
    with pytest.raises(StoreError, match=r"a\.json: not a record"):
        from_json(text, "a.json")


def test_a_record_under_another_name_is_not_believed(store: Store, run: Run) -> None:
    path = store.add(record(run))
    path.rename(path.with_name("paper-another.json"))
    with pytest.raises(StoreError, match=rf"another\.json: the record in it is that of another run, '{run.id}'"):
        Store(store.root)


def unsealed(run: Run) -> str:
    """A record as it was written before records had a seal."""
    fields = json.loads(to_json(replace(record(run), schema=1)))
    del fields["digest"]
    return json.dumps(fields)


def test_a_record_without_a_seal_is_read_and_one_that_is_listed_must_be_as_it_was(store: Store, run: Run) -> None:
    path = store.root / "runs" / f"{run.id}.json"
    write_atomic(path, unsealed(run).encode())
    (store.root / "runs.sha256").write_text(f"{sha256(path)}  runs/{path.name}\n")
    assert Store(store.root).current_record(run) == replace(record(run), schema=1)
    path.write_text(unsealed(run).replace("29.5", "19.5"))
    with pytest.raises(StoreError, match=r"was changed .* \(its digest is not that in runs\.sha256\)"):
        Store(store.root)


def test_a_seal_cannot_be_left_out(store: Store, run: Run) -> None:
    fields = json.loads(to_json(record(run)))
    del fields["digest"]
    write_atomic(store.root / "runs" / f"{run.id}.json", json.dumps(fields).encode())
    with pytest.raises(StoreError, match="its digest differs"):
        Store(store.root)


def test_a_folder_in_the_place_of_a_record_is_one_clear_error(store: Store) -> None:
    (store.root / "runs" / "paper-1.json").mkdir(parents=True)
    with pytest.raises(StoreError, match=r"paper-1\.json: not a file; move it away"):
        Store(store.root)


def test_a_record_is_on_the_disk_before_its_checkpoint_may_go(
    store: Store, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced, fsync = list[str](), os.fsync

    def noted(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    path = store.add(record(run))
    assert [Path(name).parent.name for name in synced] == ["runs", "results"]
    assert synced[1] == str(path.parent)


def test_without_hard_links_a_record_is_written_once_too(
    store: Store, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*names: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    path = store.add(record(run))
    assert from_json(path.read_text(), "a") == record(run)
    with pytest.raises(StoreError, match="is already there; nothing was overwritten"):
        store.add(record(run, seconds=2.0))
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_record_of_a_newer_kdbench_says_so(run: Run) -> None:
    text = to_json(replace(record(run), schema=SCHEMA + 1))
    with pytest.raises(
        StoreError, match=rf"a\.json: written by a newer kdbench \(schema {SCHEMA + 1}\); update kdbench"
    ):
        from_json(text, "a.json")


def test_fields_that_a_later_kdbench_added_are_passed_over(run: Run) -> None:
    fields = json.loads(to_json(record(run))) | {"mood": "good", "digest": UNSEALED}
    assert from_json(seal(json.dumps(fields).encode()).decode(), "a.json") == record(run)


def test_a_store_without_a_folder_is_empty(tmp_path: Path, run: Run) -> None:
    assert Store(tmp_path / "nowhere").latest_record(run) is None
    assert not (tmp_path / "nowhere").exists()


HOLD = """
import sys
from pathlib import Path
from types import SimpleNamespace
from bench.store import Store
with Store(Path(sys.argv[1])).lock(SimpleNamespace(id=sys.argv[2])) as mine:
    print(mine, flush=True)
    sys.stdin.readline()
"""


def test_a_run_is_held_by_one_process_at_a_time(store: Store, run: Run) -> None:
    command = [sys.executable, "-c", HOLD, str(store.root), run.id]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        with store.lock(run) as mine:
            assert not mine
        other.communicate("done\n")
    with store.lock(run) as mine:
        assert mine


def test_a_lock_is_free_again_after_an_error(store: Store, run: Run) -> None:
    with pytest.raises(ZeroDivisionError), store.lock(run):
        _ = 1 / 0
    with store.lock(run) as mine:
        assert mine


def test_a_record_from_elsewhere_is_taken_in_once(store: Store, run: Run) -> None:
    text = to_json(record(run))
    assert store.is_new(text, f"{run.id}.json", "there")
    for _ in range(2):
        store.merge(text, f"{run.id}.json", "there")
    assert not store.is_new(text, f"{run.id}.json", "there")
    assert store.current_record(run) == record(run)
    assert len(list((store.root / "runs").iterdir())) == 1


def test_a_record_from_elsewhere_that_contradicts_ours_is_refused(store: Store, run: Run) -> None:
    path = store.add(record(run))
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"there: another record of that name is already in .*; neither was changed"):
        store.merge(to_json(record(run, seconds=2.0)), f"{run.id}.json", "there")
    assert path.read_bytes() == before
