"""Files: a reader sees all of one or nothing of it, even after a power cut, and a seal shows every changed byte.

A seal is the digest that a file has of itself. It guards against accidents (a bit that flips, a disk that fills, an
edit by hand), not against somebody who seals anew what they forged.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from bench.errors import StoreError

UNSEALED = "0" * 64
# In JSON this is a key; within a text its quotes would be escaped.
_SEAL = re.compile(rb'"digest": ?"([0-9a-f]{64})"')


def sha256(path: Path) -> str:
    """The digest of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seal(data: bytes) -> bytes:
    """The bytes with their own digest in place of the zeros (:data:`UNSEALED`) of their first key ``digest``."""
    start, end = _place(data)
    return data[:start] + _digest(data, start, end) + data[end:]


def seal_of(data: bytes) -> Literal["intact", "broken", "none"]:
    """Whether the bytes are those that were sealed; ``none`` if they have no seal."""
    try:
        start, end = _place(data)
    except ValueError:
        return "none"
    return "intact" if data[start:end] == _digest(data, start, end) else "broken"


def _place(data: bytes) -> tuple[int, int]:
    match = _SEAL.search(data)
    if match is None:
        raise ValueError("no key 'digest' with a digest")
    return match.span(1)


def _digest(data: bytes, start: int, end: int) -> bytes:
    view, digest = memoryview(data), hashlib.sha256()
    for part in (view[:start], UNSEALED.encode(), view[end:]):
        digest.update(part)
    return digest.hexdigest().encode()


def about(data: bytes) -> dict[str, Any]:
    """The JSON value beside the tensors of a safetensors file's bytes; ValueError where there is none."""
    length = int.from_bytes(data[:8], "little")
    try:
        value = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["about"])
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"no header ({error})") from None
    if not isinstance(value, dict):
        raise ValueError("no header")
    return value


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file, in place of one that may be there."""
    with _written(path, data) as part:
        part.replace(path)


def write_once(path: Path, data: bytes) -> None:
    """Write a file where there is none; StoreError if there is one, which stays as it is."""
    with _written(path, data) as part:
        try:
            os.link(part, path)
        except FileExistsError:
            raise _there_already(path) from None
        except OSError:
            # A file system without hard links: there, the run's lock keeps two writers apart.
            if path.exists():
                raise _there_already(path) from None
            part.replace(path)


def _there_already(path: Path) -> StoreError:
    return StoreError(f"{path} is already there; nothing was overwritten")


@contextmanager
def _written(path: Path, data: bytes) -> Iterator[Path]:
    """The bytes in a file beside ``path``, on the disk; the folder too is on the disk in the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part{os.getpid()}")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield part
        _sync(path.parent)
    finally:
        part.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """Have the names in a folder on the disk, where the file system can do that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def set_aside(path: Path) -> Path:
    """Give a file that cannot be used another name, for a person to look at; returns it."""
    names = (path.with_name(f"{path.name}.damaged{number or ''}") for number in range(10**6))
    aside = next(name for name in names if not name.exists())
    path.replace(aside)
    return aside
