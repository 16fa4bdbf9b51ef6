"""Locks between processes, of one machine or of many that share a folder: a file says who holds it, and still lives.

What is relied on, over NFS (version 3 or later) as on a disk of one's own: that a file is created by one process only
(``O_EXCL``), that a rename is seen whole or not at all, that opening a file shows what was closed before (close-to-open
consistency), and that times of change are those of the server's clock, which alone are compared. No lock of the file
system (``flock``, ``fcntl``) is asked for.

Of an owner on this machine the process table tells whether it lives. Of one elsewhere its heartbeat does: the file is
touched every :data:`HEARTBEAT` seconds, and an owner that has not done so for :data:`DEAD_AFTER` is dead.
"""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from threading import Lock as Mutex
from threading import Thread
from uuid import uuid4

from bench.errors import StoreError
from bench.files import write_atomic

HEARTBEAT = 15.0
# Longer than NFS remembers a file's times (60 s), and a few heartbeats more.
DEAD_AFTER = 120.0
_PROC = Path("/proc")


@dataclass(frozen=True)
class Owner:
    """Who holds a lock, as its file says; when it was last alive is the time of the file's last change.

    Args:
        host: its name, for people.
        pid: the number of its process.
        started: when it took the lock (UTC).
        heartbeat: seconds from one sign of life to the next.
        dead_after: seconds without one after which it is dead.
        machine: what its process number is of: one boot of one machine, and there one space of process numbers.
        born: when its process began, in the machine's own count: numbers are given out again.
        token: of this lock alone.
    """

    host: str
    pid: int
    started: str
    heartbeat: float
    dead_after: float
    machine: str
    born: int
    token: str

    @classmethod
    def me(cls) -> "Owner":
        """This process, with a token that nobody else has."""
        return cls(
            host=socket.gethostname(),
            pid=os.getpid(),
            started=datetime.now(UTC).isoformat(timespec="seconds"),
            heartbeat=HEARTBEAT,
            dead_after=DEAD_AFTER,
            machine=_machine(),
            born=_born(os.getpid()) or 0,
            token=uuid4().hex,
        )

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


# What a file says that its owner has only begun to write, or that an older kdbench left.
UNKNOWN = Owner("an unknown machine", 0, "", HEARTBEAT, DEAD_AFTER, "", 0, "")


class Lock:
    """A lock that this process holds."""

    def __init__(self, path: Path, owner: Owner) -> None:
        self.path, self.owner, self.beaten = path, owner, time.time()
        _HEART.add(self)

    def beat(self) -> None:
        """Show that the owner lives, unless another process had cause to believe that it does not."""
        with suppress(FileNotFoundError):
            if self._was_alive() or owner_of(self.path) == self.owner:
                os.utime(self.path)  # no times: the server takes its own
                self.beaten = time.time()

    def release(self) -> None:
        """Let go of it; where another process has taken it over meanwhile, of nothing."""
        _HEART.discard(self)
        if self._was_alive():
            self.path.unlink(missing_ok=True)
            return
        with _turn(self.path, self.owner) as mine:
            if mine and owner_of(self.path) == self.owner:
                self.path.unlink(missing_ok=True)

    def _was_alive(self) -> bool:
        """Whether nobody can have thought otherwise; a machine that slept was silent for long."""
        return time.time() - self.beaten < self.owner.dead_after / 2


def acquire(path: Path) -> Lock | None:
    """Take a lock that is free, or whose owner is dead; None where somebody else holds it, or is quicker."""
    path.parent.mkdir(parents=True, exist_ok=True)
    me = Owner.me()
    if _create(path, me):
        return Lock(path, me)
    owner = owner_of(path)
    if owner is None or _lives(owner, path, _now(path.parent)):
        return None
    with _turn(path, owner) as mine:
        if not mine or owner_of(path) != owner:
            return None
        write_atomic(path, _text(me))
        return Lock(path, me)


def holder(path: Path) -> Owner | None:
    """Who holds a lock, and lives by this machine's own clock; nothing is written."""
    owner = owner_of(path)
    return owner if owner is not None and _lives(owner, path, time.time()) else None


def owner_of(path: Path) -> Owner | None:
    """Whom a lock names, dead or alive; None where nobody has it, and StoreError where it is no file."""
    try:
        if not path.is_file() and os.path.lexists(path):
            raise StoreError(f"{path}: not a file; move it away")
        return Owner(**json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        return UNKNOWN


def _create(path: Path, owner: Owner) -> bool:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return False
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(_text(owner))
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return True


def _text(owner: Owner) -> bytes:
    return json.dumps(asdict(owner)).encode()


@contextmanager
def _turn(path: Path, owner: Owner) -> Iterator[bool]:
    """Within it, no other process ends this owner's hold of a lock; False where one is about to."""
    claim = path.with_name(f"{path.name}.{owner.token or 'unknown'}")
    if not _create(claim, Owner.me()):
        with suppress(FileNotFoundError):
            if _now(path.parent) - claim.stat().st_mtime > DEAD_AFTER:
                claim.unlink()  # of a process that was killed within its turn; the next one who asks has one
        yield False
        return
    try:
        yield True
    finally:
        claim.unlink(missing_ok=True)


def _lives(owner: Owner, path: Path, now: float) -> bool:
    if owner.machine == _machine():
        return _born(owner.pid) == owner.born
    try:
        with path.open("rb") as file:  # to open it asks the server for its times, which `stat` alone may remember
            return now - os.fstat(file.fileno()).st_mtime < owner.dead_after
    except FileNotFoundError:
        return True  # just let go of: whoever asks again gets it


def _now(folder: Path) -> float:
    """The time by the clock of whoever keeps the folder."""
    probe = folder / f".clock-{uuid4().hex}"
    try:
        probe.touch()
        os.utime(probe)
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


@cache
def _machine() -> str:
    """One boot of this machine, and the process numbers that are seen here: a container may have its own."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink(_PROC / 'self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def _born(pid: int) -> int | None:
    """When a process began, in ticks since the machine did; 0 where the system does not tell, None if it has ended."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return None if fields[0] in "ZX" else int(fields[19])
    except OSError:
        return None if (_PROC / "self").exists() or not is_alive(pid) else 0


def is_alive(process: int) -> bool:
    """Whether there is a process of that number on this machine."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


class _Heart:
    """Touches every lock that this process holds."""

    def __init__(self) -> None:
        self.mutex, self.locks, self.thread = Mutex(), set[Lock](), Thread(target=self._beat, daemon=True)

    def add(self, lock: Lock) -> None:
        with self.mutex:
            self.locks.add(lock)
            if not self.thread.ident:
                self.thread.start()

    def discard(self, lock: Lock) -> None:
        with self.mutex:
            self.locks.discard(lock)

    def _beat(self) -> None:
        while True:
            time.sleep(HEARTBEAT)
            with self.mutex:
                held = [*self.locks]
            for lock in held:
                with suppress(OSError):  # a server that is away for a moment; the next beat tells
                    lock.beat()


_HEART = _Heart()
