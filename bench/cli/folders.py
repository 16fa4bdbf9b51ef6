"""The folders that a training writes into: seen to be writable before hours of work, and rid of what was left there."""

import os
import re
import time
from pathlib import Path

from bench.errors import UsageError
from bench.locks import is_alive

FOLDERS = ("runs", "artifacts", "checkpoints")
# Nobody takes so long to write a file: one of a process of another machine, whose number says nothing here, is left.
ABANDONED_SECONDS = 24 * 3600.0
_PART = re.compile(r".+\.part(\d+)")


def make_ready(results: Path) -> None:
    """Make the folders of records, weights and checkpoints, and remove what killed processes had half written there.

    Raises:
        OSError: a folder cannot be made.
        UsageError: one cannot be written.
    """
    for folder in (results / name for name in FOLDERS):
        make_writable(folder)
        for part in folder.glob("*.part*"):
            if _is_abandoned(part):
                part.unlink(missing_ok=True)


def make_writable(folder: Path) -> None:
    """Make a folder, if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"{folder} cannot be written")


def _is_abandoned(part: Path) -> bool:
    """Whether a half-written file is of no living process, and so old that no other machine writes it."""
    match = _PART.fullmatch(part.name)
    if match is None or is_alive(int(match[1])):
        return False
    try:
        return time.time() - part.stat().st_mtime > ABANDONED_SECONDS
    except FileNotFoundError:
        return False
