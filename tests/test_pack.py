"""Records, weights and checkpoints carried from one machine to another in one archive of small parts."""

import bz2
import gzip
import io
import json
import lzma
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import pack
from bench.errors import StoreError
from bench.files import UNSEALED, seal, sha256, write_atomic
from bench.graph import Run, plan
from bench.record import to_json
from bench.store import Store
from tests.handmade import library, record


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Run]:
    return plan(library(tmp_path_factory.mktemp("recipe")), ["small"], "paper").rows["small", "plain"]


@pytest.fixture
def here(tmp_path: Path) -> Store:
    return Store(tmp_path / "here")


@pytest.fixture
def there(tmp_path: Path) -> Store:
    return Store(tmp_path / "there")


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack, "PART_BYTES", 4096)


def files_of(store: Store) -> list[Path]:
    return [path for path in store.root.rglob("*") if path.is_file()]


def contents(store: Store) -> dict[str, bytes]:
    return {str(path.relative_to(store.root)): path.read_bytes() for path in files_of(store)}


def packed(out: Path, *members: tuple[tarfile.TarInfo, bytes], archive: str = pack.OTHERS) -> Path:
    """A pack with an archive of hand-made members, in one part."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as made:
        for member, data in members:
            member.size = len(data)
            made.addfile(member, io.BytesIO(data))
    return packed_bytes(out, buffer.getvalue(), archive)


def packed_bytes(out: Path, data: bytes, archive: str = pack.OTHERS) -> Path:
    """A pack with these bytes as one of its archives."""
    write_atomic(out / "part", data)
    described = {"name": "part", "bytes": len(data), "sha256": sha256(out / "part")}
    manifest = {pack.RECORDS: [], pack.OTHERS: []} | {archive: [described]}
    (out / pack.MANIFEST).write_text(json.dumps(manifest))
    return out


def packed_records(out: Path, name: str, text: str) -> Path:
    """A pack with one record."""
    return packed(out, (member(f"runs/{name}"), text.encode()), archive=pack.RECORDS)


def checkpoint_of(run: Run, epoch: int) -> bytes:
    """The bytes of a checkpoint, as far as a pack looks at it."""
    metadata = {"about": json.dumps({"id": run.id, "epoch": epoch}), "digest": UNSEALED}
    header = json.dumps({"__metadata__": metadata}).encode()
    return seal(len(header).to_bytes(8, "little") + header + bytes(5000))


def with_artifact(store: Store, run: Run, data: bytes) -> None:
    """A record of a run, and its artifact."""
    write_atomic(store.artifact(run.id), data)
    store.add(record(run, artifact=sha256(store.artifact(run.id))))


def parts_of(out: Path, archive: str) -> list[Path]:
    return sorted(out.glob(f"kdbench-{archive}.tar.*"))


def member(name: str, **said: object) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    for key, value in said.items():
        setattr(found, key, value)
    return found


def test_what_is_packed_here_is_there_after_unpacking(
    here: Store, there: Store, runs: dict[int, Run], tmp_path: Path
) -> None:
    with_artifact(here, runs[1], os.urandom(9000))
    write_atomic(here.checkpoint(runs[2]), checkpoint_of(runs[2], 7))
    files = pack.pack(here, files_of(here), tmp_path / "out")
    assert sorted(files) == sorted((tmp_path / "out").iterdir())
    records, others = (parts_of(tmp_path / "out", name) for name in (pack.RECORDS, pack.OTHERS))
    assert len(others) > 3
    assert all(part.stat().st_size == 4096 for part in [*records[:-1], *others[:-1]])
    taken = pack.unpack(there, tmp_path / "out")
    assert contents(there) == contents(here)
    assert sorted(t.path for t in taken) == sorted(files_of(there))
    assert all(t.new for t in taken)
    assert {t.note for t in taken} == {"", "of epoch 7"}
    assert there.current_record(runs[1]) == here.current_record(runs[1])


def test_records_come_home_without_the_rest_and_where_the_rest_is_cut_short(
    here: Store, there: Store, runs: dict[int, Run], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with_artifact(here, runs[1], os.urandom(9000))
    pack.pack(here, files_of(here), out)
    others = parts_of(out, pack.OTHERS)
    others[1].unlink()
    with pytest.raises(StoreError, match=r"cannot be read .*; copy all parts again"):
        pack.unpack(there, out)
    assert there.current_record(runs[1]) == here.current_record(runs[1])
    for part in parts_of(out, pack.OTHERS):
        part.unlink()
    home = Store(tmp_path / "home")
    assert [taken.path.parent.name for taken in pack.unpack(home, out)] == ["runs"]
    assert home.current_record(runs[1]) == here.current_record(runs[1])


def test_a_pack_whose_records_are_not_here_is_not_an_empty_one(
    here: Store, there: Store, runs: dict[int, Run], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    here.add(record(runs[1]))
    pack.pack(here, files_of(here), out)
    for part in parts_of(out, pack.RECORDS):
        part.unlink()
    with pytest.raises(StoreError, match=r"cannot be read .*; copy all parts again"):
        pack.unpack(there, out)


@pytest.mark.parametrize("killed_at", range(1, 12))
def test_a_pack_that_is_killed_at_any_write_is_the_old_one_or_the_new_one(
    here: Store, there: Store, runs: dict[int, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_at: int
) -> None:
    out, writes = tmp_path / "out", 0
    write_atomic(here.checkpoint(runs[2]), checkpoint_of(runs[2], 7))
    pack.pack(here, files_of(here), out)
    write_atomic(here.checkpoint(runs[2]), checkpoint_of(runs[2], 8))
    with_artifact(here, runs[1], os.urandom(9000))

    def killed(path: Path, data: bytes) -> None:
        nonlocal writes
        writes += 1
        if writes == killed_at:
            raise KeyboardInterrupt
        write_atomic(path, data)

    monkeypatch.setattr(pack, "write_atomic", killed)
    with pytest.raises(KeyboardInterrupt):
        pack.pack(here, files_of(here), out)
    monkeypatch.undo()
    taken = pack.unpack(there, out)
    notes = {t.path.name: t.note for t in taken if t.path.parent.name == "checkpoints"}
    assert notes in ({there.checkpoint(runs[2]).name: f"of epoch {epoch}"} for epoch in (7, 8))
    assert all(contents(here)[name] == data for name, data in contents(there).items() if "checkpoints" not in name)
    pack.pack(here, files_of(here), out)
    assert sorted(out.iterdir()) == sorted([*parts_of(out, "*"), out / pack.MANIFEST])
    home = Store(tmp_path / "home")
    pack.unpack(home, out)
    assert contents(home) == contents(here)


def test_unpacking_twice_changes_nothing(here: Store, there: Store, runs: dict[int, Run], tmp_path: Path) -> None:
    here.add(record(runs[1]))
    pack.pack(here, files_of(here), tmp_path / "out")
    pack.unpack(there, tmp_path / "out")
    before = contents(there)
    pack.unpack(there, tmp_path / "out")
    assert contents(there) == before


def test_parts_of_a_larger_archive_before_are_gone(here: Store, runs: dict[int, Run], tmp_path: Path) -> None:
    write_atomic(here.artifact("big"), os.urandom(20000))
    pack.pack(here, files_of(here), tmp_path / "out")
    here.artifact("big").unlink()
    here.add(record(runs[1]))
    parts = pack.pack(here, files_of(here), tmp_path / "out")
    assert sorted((tmp_path / "out").iterdir()) == sorted(parts)


def test_a_second_pack_keeps_the_records_of_the_first(
    here: Store, there: Store, runs: dict[int, Run], tmp_path: Path
) -> None:
    # As `kdbench gpu` does it: on a fresh machine, what is packed in the folder is taken in, and packed again.
    out = tmp_path / "out"
    here.add(record(runs[1]))
    pack.pack(here, files_of(here), out)
    taken = {t.path for t in pack.unpack(there, out)}
    new = there.add(record(runs[2]))
    pack.pack(there, {*taken, new}, out)
    home = Store(tmp_path / "home")
    pack.unpack(home, out)
    assert (home.current_record(runs[1]), home.current_record(runs[2])) == (record(runs[1]), record(runs[2]))


def test_nothing_packed_is_nothing_taken(here: Store, tmp_path: Path) -> None:
    assert pack.unpack(here, tmp_path) == pack.unpack(here, tmp_path / "nowhere") == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../x", {}),
        ("runs/../../x", {}),
        ("/x", {}),
        ("/runs/x.json", {}),
        ("runs/", {}),
        ("runs/sub/x.json", {}),
        ("artifacts/..", {}),
        ("artifacts/.x", {}),
        ("weights/x.safetensors", {}),
        ("x", {}),
        ("artifacts/x", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}),
        ("artifacts/x", {"type": tarfile.LNKTYPE, "linkname": "runs/x.json"}),
        ("artifacts/x", {"type": tarfile.DIRTYPE}),
        ("artifacts/x", {"type": tarfile.FIFOTYPE}),
    ],
)
def test_a_member_that_kdbench_never_packs_is_refused(
    here: Store, tmp_path: Path, name: str, said: dict[str, object]
) -> None:
    out = packed(tmp_path / "out", (member(name, **said), b""))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(StoreError, match=r"is nothing that kdbench packs; nothing was taken$"):
        pack.unpack(here, out)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("stem", ["../../outside", "paper-of-another-name"])
def test_a_record_whose_text_names_another_file_is_refused(
    here: Store, runs: dict[int, Run], tmp_path: Path, stem: str
) -> None:
    text = to_json(record(runs[1], id=stem))
    with pytest.raises(StoreError):
        pack.unpack(here, packed_records(tmp_path / "out", f"{runs[1].id}.json", text))
    assert not here.root.exists()


def test_a_record_that_contradicts_ours_is_refused(here: Store, runs: dict[int, Run], tmp_path: Path) -> None:
    here.add(record(runs[1]))
    before = contents(here)
    text = to_json(record(runs[1], seconds=2.0))
    out = packed_records(tmp_path / "out", f"{runs[1].id}.json", text)
    with pytest.raises(StoreError, match="another record of that name is already in"):
        pack.unpack(here, out)
    assert contents(here) == before


def test_what_is_no_record_is_refused(here: Store, tmp_path: Path) -> None:
    out = packed_records(tmp_path / "out", "paper-1.json", "{}")
    with pytest.raises(StoreError, match=r"runs/paper-1\.json: not a record"):
        pack.unpack(here, out)


def test_weights_that_are_here_stay(here: Store, runs: dict[int, Run], tmp_path: Path) -> None:
    with_artifact(here, runs[1], b"ours")
    name = f"artifacts/{runs[1].id}.safetensors"
    pack.unpack(here, packed(tmp_path / "out", (member(name, mtime=2e9), b"theirs")))
    assert here.artifact(runs[1].id).read_bytes() == b"ours"


@pytest.mark.parametrize("known", [True, False])
def test_weights_that_no_record_describes_are_left(
    here: Store, runs: dict[int, Run], tmp_path: Path, known: bool
) -> None:
    if known:
        here.add(record(runs[1], artifact="of other weights"))
    (taken,) = pack.unpack(here, packed(tmp_path / "out", (member(f"artifacts/{runs[1].id}.safetensors"), b"theirs")))
    assert (taken.new, taken.note) == (False, "left: no record here describes it")
    assert not taken.path.exists()


@pytest.mark.parametrize(
    ("ours", "theirs", "note"),
    [
        (None, 3, "of epoch 3"),
        (2, 3, "of epoch 3, in place of epoch 2"),
        (3, 3, "left: of epoch 3, the one here is of epoch 3"),
        (4, 3, "left: of epoch 3, the one here is of epoch 4"),
    ],
)
def test_the_checkpoint_that_is_further_stays_whenever_it_was_written(
    here: Store, runs: dict[int, Run], tmp_path: Path, ours: int | None, theirs: int, note: str
) -> None:
    path = here.checkpoint(runs[1])
    if ours is not None:
        write_atomic(path, checkpoint_of(runs[1], ours))
        os.utime(path, (2e9, 2e9))
    own = member(f"checkpoints/{path.name}", mtime=1e9)
    (taken,) = pack.unpack(here, packed(tmp_path / "out", (own, checkpoint_of(runs[1], theirs))))
    assert (taken.path, taken.note, taken.new) == (path, note, not note.startswith("left"))
    assert path.read_bytes() == checkpoint_of(runs[1], theirs if taken.new else ours or 0)


def test_a_damaged_checkpoint_here_gives_way_and_a_damaged_one_there_is_left(
    here: Store, runs: dict[int, Run], tmp_path: Path
) -> None:
    path, good = here.checkpoint(runs[1]), checkpoint_of(runs[1], 3)
    write_atomic(path, good[:-1] + b"x")
    own = f"checkpoints/{path.name}"
    assert [t.new for t in pack.unpack(here, packed(tmp_path / "out", (member(own), good)))] == [True]
    (taken,) = pack.unpack(here, packed(tmp_path / "worse", (member(own), checkpoint_of(runs[1], 9)[:-1] + b"x")))
    assert (taken.new, taken.note) == (False, "left: damaged, or of another run or version")
    assert path.read_bytes() == good


def test_a_checkpoint_of_a_run_that_is_over_is_left(here: Store, runs: dict[int, Run], tmp_path: Path) -> None:
    here.add(record(runs[1]))
    own = member(f"checkpoints/{here.checkpoint(runs[1]).name}")
    (taken,) = pack.unpack(here, packed(tmp_path / "out", (own, checkpoint_of(runs[1], 9))))
    assert (taken.new, taken.note) == (False, "left: its run is over")


def test_nothing_of_an_archive_is_taken_where_one_member_is_refused(
    here: Store, runs: dict[int, Run], tmp_path: Path
) -> None:
    good = member(f"runs/{runs[1].id}.json"), to_json(record(runs[1])).encode()
    with pytest.raises(StoreError):
        pack.unpack(here, packed(tmp_path / "out", good, (member("runs/paper-1.json"), b"{}"), archive=pack.RECORDS))
    with pytest.raises(StoreError):
        pack.unpack(here, packed(tmp_path / "twice", good, good, archive=pack.RECORDS))
    assert not here.root.exists()


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_a_compressed_archive_is_refused_unopened(here: Store, tmp_path: Path, compress: Callable[..., bytes]) -> None:
    with pytest.raises(StoreError, match="the others cannot be read"):
        pack.unpack(here, packed_bytes(tmp_path / "out", compress(bytes(10 * 2**20))))


@pytest.mark.parametrize(
    "manifest",
    ["", "[]", "{}", '{"records": []}', '{"records": [], "others": [], "more": []}', '{"records": [{}], "others": []}']
    + [
        f'{{"records": [], "others": [{{"name": {n}, "bytes": {b}, "sha256": "0"}}]}}'
        for n, b in (("1", 1), ('"a"', '"1"'))
    ],
)
def test_another_manifest_is_refused(here: Store, tmp_path: Path, manifest: str) -> None:
    (tmp_path / pack.MANIFEST).write_text(manifest)
    with pytest.raises(StoreError, match=r"kdbench-pack\.json: cannot be read .*; copy it again"):
        pack.unpack(here, tmp_path)


@pytest.mark.parametrize("name", ["../part", "/etc/hostname", ".part", "a\\b", ""])
def test_a_part_elsewhere_is_refused(here: Store, tmp_path: Path, name: str) -> None:
    (tmp_path / "part").write_bytes(b"x")
    described = {"name": name, "bytes": 1, "sha256": sha256(tmp_path / "part")}
    write_atomic(tmp_path / "out" / pack.MANIFEST, json.dumps({pack.RECORDS: [], pack.OTHERS: [described]}).encode())
    with pytest.raises(StoreError, match="not the parts of two archives"):
        pack.unpack(here, tmp_path / "out")


def test_parts_without_their_manifest_are_not_guessed_at(
    here: Store, there: Store, runs: dict[int, Run], tmp_path: Path
) -> None:
    here.add(record(runs[1]))
    pack.pack(here, files_of(here), tmp_path)
    (tmp_path / pack.MANIFEST).unlink()
    with pytest.raises(StoreError, match=r"has parts of a pack, but not kdbench-pack\.json; copy that too"):
        pack.unpack(there, tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda parts: parts[0].unlink(),
        lambda parts: parts[-1].unlink(),
        lambda parts: parts[0].write_bytes(b"nonsense" * 512),
        lambda parts: parts[1].write_bytes(parts[1].read_bytes()[:-1]),
        lambda parts: parts[1].write_bytes(parts[2].read_bytes()),
    ],
    ids=["first missing", "last missing", "nonsense", "cut short", "another part"],
)
def test_an_archive_with_a_part_that_is_not_as_it_was_says_so(
    here: Store, there: Store, runs: dict[int, Run], tmp_path: Path, damage: Callable[[list[Path]], object]
) -> None:
    for run in runs.values():
        with_artifact(here, run, os.urandom(6000))
    pack.pack(here, files_of(here), tmp_path / "out")
    damage(parts_of(tmp_path / "out", pack.OTHERS))
    with pytest.raises(StoreError, match="copy all parts again"):
        pack.unpack(there, tmp_path / "out")
    assert {path.parent.name for path in files_of(there)} == {"runs"}
