"""What killed processes left half written: removed when nobody can be at it any more."""

import os
import subprocess
import sys
import time

import pytest

from bench.cli.folders import ABANDONED_SECONDS, make_ready
from bench.errors import UsageError
from tests.cli.commands import ONE


def dead_process():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def part(results, name, hours):
    path = results / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("half")
    then = time.time() - hours * 3600
    os.utime(path, (then, then))
    return path


def test_only_what_is_old_and_of_a_dead_process_is_removed(tmp_path):
    dead, alive = dead_process(), os.getpid()
    gone = [
        part(tmp_path, f"checkpoints/paper-1.safetensors.part{dead}", 25),
        part(tmp_path, f"artifacts/paper-1.safetensors.part{dead}", 25),
        part(tmp_path, f"runs/paper-1.json.part{dead}", 25),
        part(tmp_path, f"runs/paper-2.json.part{9**30}", 25),
    ]
    kept = [
        part(tmp_path, f"checkpoints/paper-2.safetensors.part{alive}", 25),
        part(tmp_path, f"checkpoints/paper-3.safetensors.part{dead}", 23),
        part(tmp_path, "checkpoints/paper-4.safetensors", 25),
        part(tmp_path, "checkpoints/paper-5.part.safetensors", 25),
        part(tmp_path, "runs/paper-6.json.partly", 25),
    ]
    assert ABANDONED_SECONDS == 24 * 3600
    make_ready(tmp_path)
    assert [path.exists() for path in gone] == [False] * len(gone)
    assert [path.exists() for path in kept] == [True] * len(kept)


def test_run_does_so(project, kdbench):
    left = part(project / "results", f"checkpoints/paper-1.safetensors.part{dead_process()}", 25)
    assert kdbench(*ONE)[0] == 0
    assert not left.exists()


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    # Root may write everywhere.
    monkeypatch.setattr(os, "access", lambda folder, how: folder.name != "artifacts")
    with pytest.raises(UsageError, match="artifacts cannot be written"):
        make_ready(tmp_path)
