"""Records, weights and checkpoints in small files, to be carried from one machine to another.

Records have an archive of their own, which is written first and taken in first: where little can be carried, nothing
that was finished is lost. A manifest with the digest of every part is written last; what it does not name is no part.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import StoreError
from bench.files import write_atomic
from bench.record import misfit
from bench.store import Store, checkpoint_epoch

PART_BYTES = 15 * 2**20
# Far beyond what is ever packed, and what a machine can hold.
MOST_BYTES = 8 * 2**30
RECORDS, OTHERS, MANIFEST = "records", "others", "kdbench-pack.json"
FOLDERS = {RECORDS: ("runs",), OTHERS: ("artifacts", "checkpoints")}


@dataclass(frozen=True)
class Part:
    """A part of an archive: its file, and what must be in it."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Taken:
    """A file of a pack, as the store has it: whether it was taken in, and what is to be said of that."""

    path: Path
    new: bool
    note: str = ""


def pack(store: Store, files: Iterable[Path], out: Path) -> list[Path]:
    """Write files of the store into parts of 15 MiB at most, and a manifest; returns these files.

    What the folder held before stays whole until the manifest names the new parts, and goes then: take it in first.
    """
    records = {file for file in files if file.parent.name == "runs"}
    manifest = _manifest(out)
    # At once, so that parts of a pack that is cut off are not taken for one that lacks its manifest.
    _write_manifest(out, manifest)
    manifest[RECORDS] = _write(store, records, out, RECORDS)
    _write_manifest(out, manifest)
    manifest[OTHERS] = _write(store, {*files} - records, out, OTHERS)
    _write_manifest(out, manifest)
    named = {out / part.name for parts in manifest.values() for part in parts}
    for path in {*out.glob("kdbench-*.tar.*")} - named:
        path.unlink()
    return [*sorted(named), out / MANIFEST]


def _write(store: Store, files: Iterable[Path], out: Path, name: str) -> list[Part]:
    """The parts of an archive of some files, none where there are none; their names are new where their bytes are."""
    ordered = sorted(files)
    if not ordered:
        return []
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for file in ordered:
            archive.add(file, arcname=str(file.relative_to(store.root)))
    data, parts = buffer.getvalue(), list[Part]()
    for start in range(0, len(data), PART_BYTES):
        piece = data[start : start + PART_BYTES]
        digest = hashlib.sha256(piece).hexdigest()
        parts.append(Part(f"kdbench-{name}.tar.{start // PART_BYTES:02}.{digest[:8]}", len(piece), digest))
        write_atomic(out / parts[-1].name, piece)
    return parts


def _write_manifest(out: Path, archives: Mapping[str, Sequence[Part]]) -> None:
    plain = {name: [vars(part) for part in parts] for name, parts in archives.items()}
    write_atomic(out / MANIFEST, (json.dumps(plain, indent=1) + "\n").encode())


def _manifest(folder: Path) -> dict[str, list[Part]]:
    """The parts of each archive; none where the folder has no pack.

    Raises:
        StoreError: there is something else.
    """
    path = folder / MANIFEST
    if not path.is_file():
        if any(folder.glob("kdbench*.tar.*")):
            raise StoreError(f"{folder} has parts of a pack, but not {MANIFEST}; copy that too, or move the parts away")
        return {RECORDS: [], OTHERS: []}
    try:
        plain: dict[str, Any] = json.loads(path.read_bytes())
        if fault := misfit(plain, dict[str, list[Part]], "pack"):
            raise ValueError(fault)
        archives = {name: [Part(**part) for part in parts] for name, parts in plain.items()}
        every = [part for parts in archives.values() for part in parts]
        if archives.keys() != FOLDERS.keys() or not all(_is_plain(part.name) for part in every):
            raise ValueError("not the parts of two archives")
        if sum(part.bytes for part in every) > MOST_BYTES:
            raise ValueError("parts larger than kdbench packs")
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise StoreError(f"{path}: cannot be read ({error}); copy it again") from None
    return archives


def unpack(store: Store, folder: Path) -> list[Taken]:
    """Take in what is packed in a folder: records are merged, weights and checkpoints laid beside them.

    Everything in an archive is checked before any of it is written. Nothing that is already here is overwritten, except
    a checkpoint by a later one of the same run. Records are taken in whatever becomes of the other archive, of which no
    part needs to be here.

    Raises:
        StoreError: an archive cannot be read, holds something else, or contradicts a record that is here.
    """
    archives = _manifest(folder)
    return [taken for name in FOLDERS for taken in _take(store, _members(folder, name, archives[name]), folder)]


def _members(folder: Path, name: str, parts: Sequence[Part]) -> dict[tuple[str, str], bytes]:
    """The files of an archive, by the folder of results that they belong to and by name."""
    if not parts or (name == OTHERS and not any((folder / part.name).exists() for part in parts)):
        return {}
    data = b"".join(_read(folder, part) for part in parts)
    members = dict[tuple[str, str], bytes]()
    try:
        # Not compressed, whatever its first bytes look like.
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for member in archive:
                kind, _, file_name = member.name.partition("/")
                place, plain = (kind, file_name), member.isreg() and not member.issparse()
                if not plain or kind not in FOLDERS[name] or not _is_plain(file_name) or place in members:
                    raise StoreError(f"{folder}: {member.name!r} is nothing that kdbench packs; nothing was taken")
                file = archive.extractfile(member)
                assert file is not None
                members[place] = file.read()
    except tarfile.TarError as error:
        raise StoreError(f"{folder}: the {name} cannot be read ({error}); copy all parts again") from None
    return members


def _read(folder: Path, part: Part) -> bytes:
    path = folder / part.name
    try:
        data = path.read_bytes() if path.stat().st_size == part.bytes else b""
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror}); copy all parts again") from None
    if hashlib.sha256(data).hexdigest() != part.sha256:
        raise StoreError(f"{path}: not the part that {MANIFEST} describes; copy all parts again")
    return data


def _is_plain(name: str) -> bool:
    return bool(name) and not name.startswith(".") and "/" not in name and "\\" not in name


def _take(store: Store, members: Mapping[tuple[str, str], bytes], folder: Path) -> list[Taken]:
    """Write what is to be written, once all of it was looked at."""
    decided = [_decide(store, kind, name, data, folder) for (kind, name), data in members.items()]
    for taken, data in zip(decided, members.values(), strict=True):
        if taken.new and taken.path.parent.name == "runs":
            store.merge(data.decode(errors="replace"), taken.path.name, f"{folder}: {taken.path.name}")
        elif taken.new:
            write_atomic(taken.path, data)
    return decided


def _decide(store: Store, kind: str, name: str, data: bytes, folder: Path) -> Taken:
    path = store.root / kind / name
    if kind == "runs":
        return Taken(path, store.is_new(data.decode(errors="replace"), name, f"{folder}: {kind}/{name}"))
    if kind == "artifacts":
        return _decide_artifact(store, path, data)
    return _decide_checkpoint(store, path, data)


def _decide_artifact(store: Store, path: Path, data: bytes) -> Taken:
    if path.exists():
        return Taken(path, False)
    record = store.by_stem.get(path.stem)
    if record is None or record.artifact != hashlib.sha256(data).hexdigest():
        return Taken(path, False, "left: no record here describes it")
    return Taken(path, True)


def _decide_checkpoint(store: Store, path: Path, data: bytes) -> Taken:
    """A later checkpoint of a run takes the place of an earlier one, whenever either was written."""
    theirs = checkpoint_epoch(data, path.stem)
    if theirs is None:
        return Taken(path, False, "left: damaged, or of another run or version")
    if path.stem in store.by_stem:
        return Taken(path, False, "left: its run is over")
    ours = checkpoint_epoch(path.read_bytes(), path.stem) if path.is_file() else None
    if ours is not None and ours >= theirs:
        return Taken(path, False, f"left: of epoch {theirs}, the one here is of epoch {ours}")
    return Taken(path, True, f"of epoch {theirs}" + ("" if ours is None else f", in place of epoch {ours}"))
