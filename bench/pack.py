"""Records, weights and checkpoints in small files, to be carried from one machine to another.

Records have an archive of their own, which is written first and taken in first: where little can be carried, or the
other archive is cut short, nothing that was finished is lost.
"""

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

from bench.errors import StoreError
from bench.files import write_atomic
from bench.store import Store

PART_BYTES = 15 * 2**20
RECORDS, OTHERS = "kdbench-records.tar", "kdbench.tar"
FOLDERS = ("runs", "artifacts", "checkpoints")


def pack(store: Store, files: Iterable[Path], out: Path) -> list[Path]:
    """Write files of the store as ``out/kdbench-records.tar.00`` and ``out/kdbench.tar.00``, ``.01``, ...

    Each part has 15 MiB at most. Earlier parts in the folder are replaced: take them in first. Returns the parts.
    """
    records = {file for file in files if file.parent.name == "runs"}
    old = [part for name in (RECORDS, OTHERS) for part in parts_of(out, name)]
    parts = [*_write(store, records, out, RECORDS), *_write(store, {*files} - records, out, OTHERS)]
    for path in {*old} - {*parts}:
        path.unlink()
    return parts


def parts_of(folder: Path, name: str) -> list[Path]:
    """The parts of one archive that a folder has, in order."""
    return sorted(folder.glob(f"{name}.*"))


def _write(store: Store, files: Iterable[Path], out: Path, name: str) -> list[Path]:
    """An archive of some files, none where there are none."""
    ordered = sorted(files)
    if not ordered:
        return []
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for file in ordered:
            archive.add(file, arcname=str(file.relative_to(store.root)))
    data = buffer.getvalue()
    parts = [out / f"{name}.{start // PART_BYTES:02}" for start in range(0, len(data), PART_BYTES)]
    for i, part in enumerate(parts):
        write_atomic(part, data[i * PART_BYTES : (i + 1) * PART_BYTES])
    return parts


def unpack(store: Store, folder: Path) -> list[Path]:
    """Take in the archives in a folder, if there are any: records are merged, weights and checkpoints laid beside them.

    Returns the files of the store that they held. Nothing that is already here is overwritten, except a checkpoint by a
    later one of the same run. Records are taken in whatever becomes of the other archive.

    Raises:
        StoreError: an archive cannot be read, holds something else, or contradicts a record that is here.
    """
    return [path for name in (RECORDS, OTHERS) for path in _unpack(store, folder, name)]


def _unpack(store: Store, folder: Path, name: str) -> list[Path]:
    parts = parts_of(folder, name)
    if not parts:
        return []
    data = b"".join(part.read_bytes() for part in parts)
    try:
        # tarfile takes a broken header in the middle for the end: the parts must be all there, and the end be the end.
        if [part.suffix for part in parts] != [f".{i:02}" for i in range(len(parts))] or not data.endswith(bytes(1024)):
            raise tarfile.TarError("a part is missing")
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            return [_take(store, member, archive, folder) for member in archive]
    except tarfile.TarError as error:
        raise StoreError(f"{parts[0]}: cannot be read ({error}); copy all of its parts again") from None


def _take(store: Store, member: tarfile.TarInfo, archive: tarfile.TarFile, folder: Path) -> Path:
    kind, _, name = member.name.partition("/")
    file = archive.extractfile(member) if member.isfile() else None
    if file is None or kind not in FOLDERS or not name or "/" in name or name.startswith("."):
        raise StoreError(f"{folder}: {member.name!r} is nothing that kdbench packs; nothing was taken from there on")
    target, data = store.root / kind / name, file.read()
    if kind == "runs":
        store.merge(data.decode(errors="replace"), name, f"{folder}: {member.name}")
    elif not target.exists() or (kind == "checkpoints" and target.stat().st_mtime < member.mtime):
        write_atomic(target, data)
    return target
