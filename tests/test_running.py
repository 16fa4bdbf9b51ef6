"""What a run tells of itself to other terminals, and what becomes of that."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from bench import running as module
from bench.cost import steps_taken
from bench.graph import Run, plan
from bench.running import Running, is_alive, running, telling
from bench.train.progress import Unwatched
from tests.handmade import library
from tests.told import Told


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return plan(library(tmp_path), ["small"], "paper").rows["small", "plain"][2]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    (tmp_path / "results" / "locks").mkdir(parents=True)
    return tmp_path / "results"


def test_a_run_says_that_it_runs_until_it_is_over(run: Run, results: Path) -> None:
    with telling(results, run, Unwatched()):
        (told,) = running(results)
        assert (told.name, told.seed, told.profile, told.epoch) == ("small/plain", 2, "paper", 1)
        assert (told.share, told.seconds_left, told.process, told.is_gone) == (0.0, None, os.getpid(), False)
    assert running(results) == []
    assert [*(results / "locks").iterdir()] == []


def test_it_says_how_far_it_is_and_how_long_the_rest_takes(
    run: Run, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WRITE_SECONDS", 0.0)
    with telling(results, run, Unwatched()) as told:
        for step in range(1, 21):
            told.step(1, step, 1000)
        (now,) = running(results)
        assert now.share == round(20 / steps_taken(run), 4)
        assert now.seconds_left is not None
        told.epoch({}, 10, 1.0, 77.0)  # type: ignore[typeddict-item]
        told.step(2, 1, 1000)
        (now,) = running(results)
    assert now.epoch == 2
    assert now.seconds_left == pytest.approx(77.0, abs=5.0)


def test_whoever_watches_is_told_all_the_same(run: Run, results: Path) -> None:
    watcher = Told()
    with telling(results, run, watcher) as told:
        told.step(1, 1, 5)
        told.epoch({"epoch": 1}, 4, 2.0, 3.0)  # type: ignore[typeddict-item]
        told.warn("look out")
    assert (watcher.steps, watcher.epochs, watcher.warnings) == ([(1, 1, 5)], [(1, 4)], ["look out"])


def test_most_steps_write_nothing(run: Run, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    replaced = Path.replace
    monkeypatch.setattr(Path, "replace", lambda path, to: (written.append(to), replaced(path, to))[1])
    with telling(results, run, Unwatched()) as told:
        for step in range(1, 1001):
            told.step(1, step, 1000)
    assert len(written) <= 2


def test_what_cannot_be_written_stops_no_run(run: Run, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WRITE_SECONDS", 0.0)
    (results / "locks").rmdir()
    (results / "locks").write_text("a file in the place of the folder")
    with telling(results, run, Unwatched()) as told:
        told.step(1, 1, 5)
    assert running(results) == []


def test_a_run_that_fails_leaves_no_file(run: Run, results: Path) -> None:
    with pytest.raises(RuntimeError), telling(results, run, Unwatched()):
        raise RuntimeError
    assert running(results) == []


def test_a_process_that_was_killed_is_told_from_one_that_lives(run: Run, results: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert not is_alive(process.pid)
    with telling(results, run, Unwatched()):
        (now,) = running(results)
    assert replace(now, process=process.pid).is_gone
    assert not replace(now, process=process.pid, host="elsewhere").is_gone


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"name": "x"}', b"\xff"])
def test_what_is_no_such_file_is_left_out(results: Path, content: bytes) -> None:
    (results / "locks" / f"paper-1{module.SUFFIX}").write_bytes(content)
    told = Running("small/kd", 1, "paper", 3, 0.5, 60.0, 1, "elsewhere", 0.0)
    (results / "locks" / f"paper-2{module.SUFFIX}").write_text(json.dumps(asdict(told)))
    assert running(results) == [told]
