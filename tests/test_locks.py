"""Locks on a run, between processes of one machine or of several: a dead owner's is taken over, a live one's never."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from bench import locks
from bench.errors import StoreError
from bench.locks import DEAD_AFTER, Owner, acquire, holder, owner_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "locks" / "run.lock"


def leave(path: Path, owner: Owner, age: float = 0.0) -> None:
    """A lock file as another process left it, whose last heartbeat was so many seconds ago."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(asdict(owner)), encoding="utf-8")
    then = time.time() - age
    os.utime(path, (then, then))


def elsewhere() -> Owner:
    return replace(Owner.me(), host="node7", machine="another machine", token="theirs")


def files(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.iterdir())


def test_its_file_says_who_holds_it_and_since_when(path: Path) -> None:
    lock = acquire(path)
    said = json.loads(path.read_text())
    assert (said["host"], said["pid"]) == (os.uname().nodename, os.getpid())
    assert {"started", "heartbeat", "dead_after"} <= said.keys()
    assert holder(path) == lock.owner
    assert str(holder(path)) == f"process {os.getpid()} on {os.uname().nodename}"
    lock.release()
    assert files(path) == []
    assert holder(path) is None


def test_it_is_free_again_when_it_was_let_go_of(path: Path) -> None:
    first = acquire(path)
    assert acquire(path) is None
    first.release()
    second = acquire(path)
    assert second is not None
    second.release()


HOLD = """
import sys, time
from pathlib import Path
from bench.locks import acquire
print(acquire(Path(sys.argv[1])) is not None, flush=True)
time.sleep(60)
"""


def test_that_of_a_killed_process_of_this_machine_is_taken_over_at_once(path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "True\n"
        assert acquire(path) is None
        other.send_signal(signal.SIGSTOP)  # not heard of, but not dead
        assert acquire(path) is None
        other.kill()
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # a zombie: its parent has not looked yet
        lock = acquire(path)
    assert lock.owner.pid == os.getpid()
    assert owner_of(path) == lock.owner
    lock.release()
    assert files(path) == []


def test_the_number_of_a_dead_process_that_another_one_has_now_is_not_taken_for_it(path: Path) -> None:
    leave(path, replace(Owner.me(), born=1))
    lock = acquire(path)
    assert lock is not None
    lock.release()


@pytest.mark.parametrize(("age", "dead"), [(0.0, False), (DEAD_AFTER - 20, False), (DEAD_AFTER + 20, True)])
def test_on_another_machine_an_owner_is_dead_when_it_has_long_not_shown_that_it_lives(path, age, dead) -> None:
    leave(path, elsewhere(), age)
    assert (holder(path) is None) == dead
    lock = acquire(path)
    assert (lock is not None) == dead
    if lock:
        lock.release()


def test_an_owner_says_itself_how_long_it_may_be_silent(path: Path) -> None:
    leave(path, replace(elsewhere(), dead_after=10 * DEAD_AFTER), 2 * DEAD_AFTER)
    assert acquire(path) is None


def test_only_the_clock_of_the_shared_folder_counts(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave(path, elsewhere())
    monkeypatch.setattr(time, "time", lambda: 4e9)
    assert acquire(path) is None
    assert files(path) == [path.name]


def test_a_file_that_is_not_yet_written_is_somebodys_until_it_is_old(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    assert acquire(path) is None
    os.utime(path, (0, 0))
    lock = acquire(path)
    assert lock is not None
    lock.release()
    assert files(path) == []


def test_a_heartbeat_is_seen_by_others(path: Path) -> None:
    lock = acquire(path)
    os.utime(path, (0, 0))
    lock.beat()
    assert time.time() - path.stat().st_mtime < 60
    lock.release()


def test_the_heart_beats_by_itself(path: Path) -> None:
    code = HOLD.replace("import sys, time", "import sys, time\nfrom bench import locks\nlocks.HEARTBEAT = 0.05")
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) as other:
        other.stdout.readline()
        os.utime(path, (0, 0))
        until = time.monotonic() + 30
        while path.stat().st_mtime == 0:
            assert time.monotonic() < until
            time.sleep(0.01)
        other.kill()


def test_who_was_believed_dead_keeps_nothing_alive_and_removes_nothing_of_who_took_over(path: Path) -> None:
    slept = acquire(path)
    slept.beaten -= DEAD_AFTER
    leave(path, elsewhere(), 60.0)
    slept.beat()
    assert time.time() - path.stat().st_mtime > 50
    slept.release()
    assert owner_of(path) == elsewhere()


def test_who_slept_and_was_not_replaced_goes_on(path: Path) -> None:
    slept = acquire(path)
    slept.beaten -= DEAD_AFTER
    slept.beat()
    assert time.time() - slept.beaten < 60
    slept.beaten -= DEAD_AFTER
    slept.release()
    assert files(path) == []


@pytest.mark.parametrize("attempt", range(5))
def test_of_many_who_want_a_dead_owners_lock_at_the_same_moment_one_gets_it(path: Path, attempt: int) -> None:
    leave(path, elsewhere(), 2 * DEAD_AFTER)
    barrier, got = threading.Barrier(8), []

    def take() -> None:
        barrier.wait()
        got.append(acquire(path))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (lock,) = [lock for lock in got if lock]
    assert owner_of(path) == lock.owner
    assert files(path) == [path.name]
    lock.release()


def test_who_is_killed_while_it_takes_over_blocks_nobody_for_ever(path: Path) -> None:
    leave(path, elsewhere(), 2 * DEAD_AFTER)
    turn = path.with_name(f"{path.name}.theirs")
    turn.touch()
    assert acquire(path) is None
    os.utime(turn, (0, 0))
    assert acquire(path) is None  # clears it away
    lock = acquire(path)
    assert lock is not None
    lock.release()
    assert files(path) == []


def test_who_was_too_late_takes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The dead owner was read, then another process took over, then came this one's turn."""
    leave(path, elsewhere(), 2 * DEAD_AFTER)
    lives = locks._lives

    def meanwhile(owner, path, now):
        found = lives(owner, path, now)
        leave(path, replace(elsewhere(), token="a third one"))
        return found

    monkeypatch.setattr(locks, "_lives", meanwhile)
    assert acquire(path) is None
    assert owner_of(path).token == "a third one"
    assert files(path) == [path.name]


@pytest.mark.parametrize("kind", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("nowhere")])
def test_what_is_no_file_is_told(path: Path, kind) -> None:
    path.parent.mkdir()
    kind(path)
    with pytest.raises(StoreError, match="not a file; move it away"):
        acquire(path)
