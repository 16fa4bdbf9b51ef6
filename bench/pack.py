"""Records, weights and checkpoints as one archive in small parts, to be carried from one machine to another."""

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

from bench.errors import StoreError
from bench.store import Store, write_atomic

PART_BYTES = 15 * 2**20
FOLDERS = ("runs", "artifacts", "checkpoints")


def pack(store: Store, files: Iterable[Path], out: Path) -> list[Path]:
    """Write files of the store as ``out/kdbench.tar.00``, ``.01``, ..., each of 15 MiB at most; returns the parts.

    Earlier parts in the folder are replaced: take them in first.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for file in sorted(files):
            archive.add(file, arcname=str(file.relative_to(store.root)))
    data = buffer.getvalue()
    old = set(out.glob("kdbench.tar.*"))
    parts = [out / f"kdbench.tar.{start // PART_BYTES:02}" for start in range(0, len(data), PART_BYTES)]
    for i, part in enumerate(parts):
        write_atomic(part, data[i * PART_BYTES : (i + 1) * PART_BYTES])
    for path in old - set(parts):
        path.unlink()
    return parts


def unpack(store: Store, folder: Path) -> list[Path]:
    """Take in the archive in a folder, if there is one: records are merged, weights and checkpoints laid beside them.

    Returns the files of the store that the archive held. Nothing that is already here is overwritten, except a
    checkpoint by a later one of the same run.

    Raises:
        StoreError: the archive cannot be read, holds something else, or contradicts a record that is here.
    """
    parts = sorted(folder.glob("kdbench.tar.*"))
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
