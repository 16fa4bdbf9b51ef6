"""Records on disk: what is written is what is read, nothing is overwritten, nothing unverified is used."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import StoreError
from bench.graph import Run, plan
from bench.store import SCHEMA, Result, Store, from_json, sha256, to_json, write_atomic, write_once
from tests.handmade import library, record

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
    curve=st.lists(st.dictionaries(st.text(), finite | st.integers() | st.text() | st.none(), max_size=3), max_size=3),
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
    text = to_json(record(run, curve=[{"epoch": 1}, {"epoch": 2}]))
    assert ' "seed": 1,\n' in text
    assert text.endswith(' "curve": [\n  {"epoch": 1},\n  {"epoch": 2}\n ]\n}\n')


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


def test_a_record_of_a_newer_kdbench_says_so(run: Run) -> None:
    text = to_json(replace(record(run), schema=SCHEMA + 1))
    with pytest.raises(
        StoreError, match=rf"a\.json: written by a newer kdbench \(schema {SCHEMA + 1}\); update kdbench"
    ):
        from_json(text, "a.json")


def test_fields_that_a_later_kdbench_added_are_passed_over(run: Run) -> None:
    said = json.loads(to_json(record(run))) | {"mood": "good"}
    assert from_json(json.dumps(said), "a.json") == record(run)


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
    assert (
        store.merge(text, f"{run.id}.json", "there")
        == store.merge(text, f"{run.id}.json", "there")
        == store.current_record(run)
    )
    assert len(list((store.root / "runs").iterdir())) == 1


def test_a_record_from_elsewhere_that_contradicts_ours_is_refused(store: Store, run: Run) -> None:
    path = store.add(record(run))
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"there: another record of that name is already in .*; neither was changed"):
        store.merge(to_json(record(run, seconds=2.0)), f"{run.id}.json", "there")
    assert path.read_bytes() == before
