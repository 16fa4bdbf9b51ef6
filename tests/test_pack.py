"""Records, weights and checkpoints carried from one machine to another in one archive of small parts."""

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import pack
from bench.errors import StoreError
from bench.files import write_atomic
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


def packed(out: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    """An archive of hand-made members, in one part."""
    out.mkdir(exist_ok=True)
    with tarfile.open(out / "kdbench.tar.00", "w") as archive:
        for member, data in members:
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out


def member(name: str, **said: object) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    for key, value in said.items():
        setattr(found, key, value)
    return found


def test_what_is_packed_here_is_there_after_unpacking(
    here: Store, there: Store, runs: dict[int, Run], tmp_path: Path
) -> None:
    here.add(record(runs[1]))
    write_atomic(here.artifact(runs[1].id), os.urandom(9000))
    write_atomic(here.checkpoint(runs[2]), os.urandom(5000))
    parts = pack.pack(here, files_of(here), tmp_path / "out")
    records, others = parts[:3], parts[3:]
    assert [part.name for part in records] == [f"kdbench-records.tar.{i:02}" for i in range(len(records))]
    assert [part.name for part in others] == [f"kdbench.tar.{i:02}" for i in range(len(others))]
    assert len(others) > 3
    assert all(part.stat().st_size == 4096 for part in [*records[:-1], *others[:-1]])
    taken = pack.unpack(there, tmp_path / "out")
    assert contents(there) == contents(here)
    assert sorted(taken) == sorted(files_of(there))
    assert there.current_record(runs[1]) == record(runs[1])


def test_records_come_home_without_the_rest_and_where_the_rest_is_cut_short(
    here: Store, there: Store, runs: dict[int, Run], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    here.add(record(runs[1]))
    write_atomic(here.artifact(runs[1].id), os.urandom(9000))
    parts = pack.pack(here, files_of(here), out)
    others = [part for part in parts if part.name.startswith("kdbench.tar.")]
    others[1].unlink()
    with pytest.raises(StoreError, match="copy all of its parts again"):
        pack.unpack(there, out)
    assert there.current_record(runs[1]) == record(runs[1])
    for part in pack.parts_of(out, pack.OTHERS):
        part.unlink()
    home = Store(tmp_path / "home")
    assert [path.parent.name for path in pack.unpack(home, out)] == ["runs"]
    assert home.current_record(runs[1]) == record(runs[1])


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
    assert sorted((tmp_path / "out").iterdir()) == parts


def test_a_second_pack_keeps_the_records_of_the_first(
    here: Store, there: Store, runs: dict[int, Run], tmp_path: Path
) -> None:
    # As `kdbench gpu` does it: on a fresh machine, what is packed in the folder is taken in, and packed again.
    out = tmp_path / "out"
    here.add(record(runs[1]))
    pack.pack(here, files_of(here), out)
    taken = pack.unpack(there, out)
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
    with pytest.raises(StoreError, match=r"is nothing that kdbench packs; nothing was taken from there on"):
        pack.unpack(here, out)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("stem", ["../../outside", "paper-of-another-name"])
def test_a_record_whose_text_names_another_file_is_refused(
    here: Store, runs: dict[int, Run], tmp_path: Path, stem: str
) -> None:
    text = to_json(record(runs[1], id=stem))
    with pytest.raises(StoreError):
        pack.unpack(here, packed(tmp_path / "out", (member(f"runs/{runs[1].id}.json"), text.encode())))


def test_a_record_that_contradicts_ours_is_refused(here: Store, runs: dict[int, Run], tmp_path: Path) -> None:
    here.add(record(runs[1]))
    before = contents(here)
    text = to_json(record(runs[1], seconds=2.0))
    out = packed(tmp_path / "out", (member(f"runs/{runs[1].id}.json"), text.encode()))
    with pytest.raises(StoreError, match="another record of that name is already in"):
        pack.unpack(here, out)
    assert contents(here) == before


def test_what_is_no_record_is_refused(here: Store, tmp_path: Path) -> None:
    out = packed(tmp_path / "out", (member("runs/paper-1.json"), b"{}"))
    with pytest.raises(StoreError, match=r"runs/paper-1\.json: not a record"):
        pack.unpack(here, out)


def test_weights_that_are_here_stay(here: Store, tmp_path: Path) -> None:
    write_atomic(here.artifact("a"), b"ours")
    pack.unpack(here, packed(tmp_path / "out", (member("artifacts/a.safetensors", mtime=2e9), b"theirs")))
    assert here.artifact("a").read_bytes() == b"ours"


@pytest.mark.parametrize(("mtime", "expected"), [(1e9, b"ours"), (3e9, b"theirs")])
def test_the_later_checkpoint_stays(
    here: Store, runs: dict[int, Run], tmp_path: Path, mtime: float, expected: bytes
) -> None:
    path = here.checkpoint(runs[1])
    write_atomic(path, b"ours")
    os.utime(path, (2e9, 2e9))
    pack.unpack(here, packed(tmp_path / "out", (member(f"checkpoints/{path.name}", mtime=mtime), b"theirs")))
    assert path.read_bytes() == expected


@pytest.mark.parametrize(
    "damage",
    [
        lambda parts: parts[0].unlink(),
        lambda parts: [part.unlink() for part in parts[2:]],
        lambda parts: parts[0].write_bytes(b"nonsense" * 512),
        lambda parts: parts[1].unlink(),
    ],
    ids=["first missing", "end missing", "nonsense", "middle missing"],
)
def test_an_archive_that_lacks_a_part_says_so(
    here: Store, there: Store, tmp_path: Path, damage: Callable[[list[Path]], object]
) -> None:
    for name in "abc":
        write_atomic(here.artifact(name), name.encode() * 6000)
    damage(pack.pack(here, files_of(here), tmp_path / "out"))
    with pytest.raises(StoreError, match="copy all of its parts again"):
        pack.unpack(there, tmp_path / "out")
    assert all(data == contents(here)[name] for name, data in contents(there).items())
