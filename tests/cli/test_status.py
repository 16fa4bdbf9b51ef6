"""``kdbench status`` and ``kdbench list TABLE``: what runs, and what of a table is left."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TypeAlias

import pytest

from bench.graph import plan
from bench.recipe import load
from bench.running import SUFFIX, Running
from bench.store import Store
from tests.cli.commands import REPO, RUN, finish, start, wait_for_checkpoints
from tests.cli.conftest import longer
from tests.handmade import record, write

Kdbench: TypeAlias = Callable[..., tuple[int, str, str]]


def tell(folder: Path, name: str = "small/kd", **said: object) -> None:
    """A file that a run keeps."""
    usual: dict[str, object] = {
        "seed": 1,
        "profile": "paper",
        "epoch": 3,
        "share": 0.254,
        "seconds_left": 7200.0,
        "process": os.getpid(),
        "host": socket.gethostname(),
        "told": time.time(),
    }
    locks = folder / "results" / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    told = Running(name, **{**usual, **said})  # type: ignore[arg-type]
    (locks / f"{name.replace('/', '-')}{SUFFIX}").write_text(json.dumps(asdict(told)))


def cells(out: str, run: str) -> list[str]:
    (line,) = [line for line in out.splitlines() if line.startswith(run)]
    return line.split()


def test_nothing_runs(kdbench: Kdbench) -> None:
    assert kdbench("status") == (0, "nothing runs now\n", "")


def test_each_run_has_a_line(kdbench: Kdbench, tmp_path: Path) -> None:
    tell(tmp_path)
    tell(tmp_path, "small/plain", seconds_left=None, share=0.0, epoch=1, host="elsewhere", process=12)
    code, out, err = kdbench("status")
    assert (code, err) == (0, "")
    here = [str(os.getpid()), "on", socket.gethostname()]
    assert cells(out, "small/kd#1") == ["small/kd#1", "paper", "3", "25%", "2.0", "h", *here]
    assert cells(out, "small/plain#1") == ["small/plain#1", "paper", "1", "0%", "?", "12", "on", "elsewhere"]


def test_what_was_killed_or_is_silent_is_said_to_be(kdbench: Kdbench, tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    tell(tmp_path, process=process.pid, told=time.time() - 700)
    tell(tmp_path, "small/plain", host="elsewhere", told=time.time() - 400)
    _, out, _ = kdbench("status")
    assert "ended 11.7 min ago without a word; the same command resumes" in out
    assert "2.0 h, said 6.7 min ago" in out


def test_a_name_that_would_steer_a_terminal_does_not(kdbench: Kdbench, tmp_path: Path) -> None:
    tell(tmp_path, "small/\x1b[2J".replace("/", "/"))
    assert "\x1b" not in kdbench("status")[1]


def test_it_imports_no_torch(tmp_path: Path) -> None:
    tell(tmp_path)
    code = (
        "import sys; sys.argv = ['kdbench', 'status']\nfrom bench.cli.commands import app\napp(standalone_mode=False)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{code}assert not {{'torch', 'scipy', 'pandas'}} & {{*sys.modules}}"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPO)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "small/kd#1" in done.stdout


def test_another_terminal_sees_what_a_command_trains(
    project: Path, kdbench: Kdbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    longer(project)
    everywhere = "import bench.running; bench.running.WRITE_SECONDS = 0.0"
    process = start(project, *RUN, "--row", "vanilla", "--seed", "1", "--at-once", "1", everywhere=everywhere)
    wait_for_checkpoints(project)
    process.send_signal(signal.SIGSTOP)  # nothing is over while it is looked at
    monkeypatch.chdir(project)
    _, out, _ = kdbench("status")
    _, listed, _ = kdbench("list", "tiny")
    process.send_signal(signal.SIGCONT)
    assert cells(out, "tiny/vanilla#1")[-3:] == [str(process.pid), "on", socket.gethostname()]
    assert 0 < int(cells(out, "tiny/vanilla#1")[3].rstrip("%")) < 100
    if sys.platform.startswith("linux"):
        assert cells(listed, "vanilla")[:5] == ["vanilla", "2", "0", "1", "1"]
    assert finish(process)[0] == 0
    assert kdbench("status")[1] == "nothing runs now\n"
    assert [*(project / "results" / "locks").glob(f"*{SUFFIX}*")] == []


def test_the_rows_of_a_table(kdbench: Kdbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Committed records of such networks may have been made on a device like the one here.
    monkeypatch.setattr("bench.cli.show.devices_here", lambda: ["a device of nobody"])
    graph = plan(load(write(tmp_path)), ["small"], "paper")
    plain = graph.rows["small", "plain"]
    store = Store(tmp_path / "results")
    store.add(record(plain[1]))
    store.add(record(plain[2], status="diverged"))
    code, out, err = kdbench("list", "small")
    assert (code, err) == (0, "")
    head = out.splitlines()[0].split()
    assert head == ["row", "seeds", "done", "diverged", "running", "missing", "time", "left"]
    assert cells(out, "plain") == ["plain", "3", "1", "1", "0", "1", "?"]
    assert cells(out, "nothing") == ["nothing", "0", "0", "0", "0", "0", "-"]
    assert "Hours left are unknown" in out


def test_the_names_of_rows_for_scripts(kdbench: Kdbench, tmp_path: Path) -> None:
    rows = load(write(tmp_path)).table("small").rows
    assert kdbench("list", "small", "--names") == (0, "\n".join(rows) + "\n", "")
    assert kdbench("list", "smal")[0] == 2
