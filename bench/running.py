"""What runs now: beside its lock a run that goes on has a small file, for whoever asks from another terminal.

The file, ``locks/<id>.progress.json``, is no part of any result: it is not forced to the disk, and what cannot be
written stays unsaid. Imports no torch.
"""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.graph import Run
from bench.locks import is_alive
from bench.pace import Pace
from bench.record import EpochEntry, SynthesisEntry
from bench.train.progress import Progress

WRITE_SECONDS = 5.0
SUFFIX = ".progress.json"


@dataclass(frozen=True)
class Running:
    """How far a run was when it last told: the epoch it is in, its ``share`` from 0 to 1, seconds left if known.

    ``process`` of the machine ``host`` carries it out, or hands it to its workers; ``told`` is in seconds since 1970.
    """

    name: str
    seed: int
    profile: str
    epoch: int
    share: float
    seconds_left: float | None
    process: int
    host: str
    told: float

    @property
    def is_gone(self) -> bool:
        """Whether its process is known to have ended without a word; of another machine's nobody here knows."""
        return self.host == socket.gethostname() and not is_alive(self.process)


def running(results: Path) -> list[Running]:
    """Every run that a process has told of in a folder of results and has not ended, by name and seed."""
    found = (_read(path) for path in (results / "locks").glob(f"*{SUFFIX}"))
    return sorted((run for run in found if run is not None), key=lambda run: (run.name, run.seed))


def _read(path: Path) -> Running | None:
    """None if it is gone meanwhile, or no such file."""
    try:
        return Running(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


@contextmanager
def telling(results: Path, run: Run, progress: Progress) -> Iterator[Progress]:
    """Progress that keeps the run's file too, until the run is over."""
    path = results / "locks" / f"{run.id}{SUFFIX}"
    try:
        yield _Teller(path, run, progress)
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)


class _Teller:
    """Passes on what it is told, and writes it down now and then."""

    def __init__(self, path: Path, run: Run, progress: Progress) -> None:
        self.path, self.run, self.progress, self.pace = path, run, progress, Pace(run)
        self.host, self.process = socket.gethostname(), os.getpid()
        self._write(1)

    def step(self, epoch: int, step: int, steps: int) -> None:
        self.pace.step(epoch, step)
        if self.pace.now - self.written >= WRITE_SECONDS:
            self._write(epoch)
        self.progress.step(epoch, step, steps)

    def epoch(
        self, entry: EpochEntry | SynthesisEntry, epochs: int, images_per_second: float, seconds_left: float
    ) -> None:
        self.pace.epoch(seconds_left)
        self.progress.epoch(entry, epochs, images_per_second, seconds_left)

    def warn(self, message: str) -> None:
        self.progress.warn(message)

    def _write(self, epoch: int) -> None:
        self.written, run = time.monotonic(), self.run
        share, left = round(self.pace.share, 4), self.pace.seconds_left
        now = Running(run.name, run.seed, run.profile, epoch, share, left, self.process, self.host, time.time())
        part = self.path.with_name(f"{self.path.name}.part{self.process}")
        with suppress(OSError):
            part.write_text(json.dumps(asdict(now)), encoding="utf-8")
            part.replace(self.path)
