"""Packs that were damaged, mixed or cut short on their way: the last part of the corruptions."""

import io
import json
import os
import shutil
import tarfile
from hashlib import sha256
from pathlib import Path

from tests.torture import damage
from tests.torture.harness import KD, Ended, Outcome, changed, results
from tests.torture.reference import Case

ARCHIVES, MANIFEST = ("records", "others"), "kdbench-pack.json"


def packs(case: Case) -> Outcome:
    """What another machine packed: it is collected, and where something else came of it, the run in it is resumed."""
    pack = Path(shutil.copytree(case.random.choice(case.reference.packs), case.folder / "pack"))
    case.project()
    how = case.random.choice((_part, _part, _mixed, _mixed, _missing, _exchanged, _member, _member, _own))
    told = how(pack, case)
    ended = case.run("collect", str(pack))
    judge = _kept if how is _own else _taken
    return (ended.fault() or judge(case, ended)).of(f"pack: {told}")


def _members(case: Case) -> dict[str, set[bytes]]:
    """What each file may be: as one of the two packs has it."""
    allowed: dict[str, set[bytes]] = {}
    for pack in case.reference.packs:
        for path, data in [member for name in ARCHIVES for member in unpacked(pack, name)]:
            allowed.setdefault(path, set()).add(data)
    return allowed


def _taken(case: Case, ended: Ended) -> Outcome:
    """What came of a pack: of the files that it left."""
    root, allowed = case.folder / "project" / "results", _members(case)
    files = {f"{path.parent.name}/{path.name}": path for kind in ("runs", "artifacts", "checkpoints")
             for path in results(root.parent, kind)}  # fmt: skip
    if any(path.read_bytes() not in allowed.get(name, ()) for name, path in files.items()):
        return _resumed(case)
    if told := ended.says():
        return told
    missing = allowed.keys() - files.keys()
    if all(Path(name).stem in ended.out + ended.err or "/paper-0" in ended.out for name in missing):
        return Outcome("told", ended.out) if missing else Outcome("harmless", "the same files")
    return Outcome("lost", f"not taken: {', '.join(sorted(missing))}")


def _resumed(case: Case) -> Outcome:
    """What a run makes of a store in which something is not as it was packed."""
    folder, reference = case.folder / "project", case.reference
    taken = results(folder, "runs")
    ended = case.run(*KD)
    if outcome := ended.fault():
        return outcome
    packed = reference.packs[0].parent / "half" / "results" / "runs"
    differing = [what for path in taken if (what := changed(packed / path.name, path))]
    if differing:
        return Outcome("believed", ", ".join(differing))
    return reference.verdict(ended, folder, "set aside", ("tiny/kd", 1))


def _part(pack: Path, case: Case) -> str:
    part = case.random.choice(sorted(pack.iterdir()))
    return f"{part.name}: {damage.any_bytes(part, case.random)}"


def _mixed(pack: Path, case: Case) -> str:
    """Another pack's file, or all from there on, as a pack that was killed leaves them."""
    other = next(other for other in case.reference.packs if not _same(other, pack))
    names = sorted(path.name for path in other.iterdir())
    first = case.random.randrange(len(names))
    taken = case.random.choice((names[first:], names[:first], names[first : first + 1]))
    for name in taken:
        shutil.copy(other / name, pack)
    return f"{', '.join(taken) or 'nothing'} of another pack"


def _same(one: Path, other: Path) -> bool:
    return {path.name: path.read_bytes() for path in one.iterdir()} == {
        path.name: path.read_bytes() for path in other.iterdir()
    }


def _missing(pack: Path, case: Case) -> str:
    names = sorted(path.name for path in pack.iterdir())
    gone = case.random.choice((names[-1:], [case.random.choice(names)], names[1:]))
    for name in gone:
        (pack / name).unlink()
    return f"without {', '.join(gone)}"


def _exchanged(pack: Path, case: Case) -> str:
    names = sorted(path.name for path in pack.iterdir())
    one, other = case.random.sample(names, 2)
    data = (pack / one).read_bytes()
    (pack / one).write_bytes((pack / other).read_bytes())
    (pack / other).write_bytes(data)
    return f"{one} and {other} in each other's place"


def _member(pack: Path, case: Case) -> str:
    """An archive that is whole, with a member that was damaged, is there twice, or has another run's name."""
    name = case.random.choice(ARCHIVES)
    members = unpacked(pack, name)
    chosen = case.random.randrange(len(members))
    path, data = members[chosen]
    how = case.random.choice(("damaged", "twice", "renamed"))
    told = how
    if how == "damaged":
        data, told = case.random.choice(damage.BYTES)(data, case.random)
        members[chosen] = path, data
    elif how == "twice":
        members.insert(0, (path, damage.flip(data, case.random)[0]))
    else:
        members[chosen] = path.replace("paper-", "paper-0"), data
    repack(pack, name, members)
    return f"{path}: {told}"


def unpacked(pack: Path, name: str) -> list[tuple[str, bytes]]:
    """The members of an archive in parts."""
    parts = json.loads((pack / MANIFEST).read_text())[name]
    data = b"".join((pack / part["name"]).read_bytes() for part in parts)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return [(member.name, archive.extractfile(member).read()) for member in archive]  # type: ignore[union-attr]


def repack(pack: Path, name: str, members: list[tuple[str, bytes]]) -> None:
    """An archive of these in one part."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, data in members:
            member = tarfile.TarInfo(path)
            member.size, member.mtime = len(data), 2e9
            archive.addfile(member, io.BytesIO(data))
    lay(pack, name, buffer.getvalue())


def lay(pack: Path, name: str, data: bytes) -> None:
    """These bytes as the only part of an archive, as the manifest has it."""
    pack.mkdir(exist_ok=True)
    for path in pack.glob(f"kdbench-{name}.*"):
        path.unlink()
    part = f"kdbench-{name}.tar.00"
    (pack / part).write_bytes(data)
    manifest = pack / MANIFEST
    parts = json.loads(manifest.read_text()) if manifest.exists() else {archive: [] for archive in ARCHIVES}
    parts[name] = [{"name": part, "bytes": len(data), "sha256": sha256(data).hexdigest()}]
    manifest.write_text(json.dumps(parts))


def _own(pack: Path, case: Case) -> str:
    """A checkpoint of the run is here already: the one that is further on counts, whichever was written later."""
    epoch, written = case.random.choice((2, 5)), case.random.choice((1e9, 3e9))
    path, run = _checkpoint(case), case.reference.id("kd")
    path.parent.mkdir()
    shutil.copy(case.reference.checkpoints[run][epoch - 1], path)
    shutil.copy(path, case.folder / "own")
    os.utime(path, (written, written))
    return f"beside our own checkpoint of epoch {epoch}, written {'before' if written < 2e9 else 'after'} it"


def _checkpoint(case: Case) -> Path:
    return case.folder / "project" / "results" / "checkpoints" / f"{case.reference.id('kd')}.safetensors"


def _kept(case: Case, ended: Ended) -> Outcome:
    """Of a checkpoint that was packed and one that was here: whether the one that is further on is here now."""
    (packed,) = [data for path, data in unpacked(case.folder / "pack", ARCHIVES[1]) if path.startswith("checkpoints/")]
    now = _epoch(_checkpoint(case).read_bytes())
    if now == max(_epoch(packed), _epoch((case.folder / "own").read_bytes())):
        return Outcome("harmless", f"the one of epoch {now}")
    return ended.says() or Outcome("lost", f"all after epoch {now}")


def _epoch(checkpoint: bytes) -> int:
    header, _ = damage.opened(checkpoint)
    epoch: int = json.loads(header["__metadata__"]["about"])["epoch"]
    return epoch
