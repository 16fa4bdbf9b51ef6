"""Runs that are killed without a warning: each one, resumed, comes to the bits of the one that nothing stopped."""

import shutil
import signal
import time
from collections.abc import Callable

from tests.torture.harness import VANILLA, Ended, Outcome, kill
from tests.torture.reference import Case

# Code that goes before a command: it ends without a warning at the n-th time that a file of one of some folders is
# opened to be written, has got so many bytes, is about to be or is synced, or is about to take its place.
AT = """
import os, resource, signal, sys
folders, moment, count, size = {folders!r}, {moment!r}, {count}, {size}
paths, seen = set(), 0

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def at(what, path):
    global seen
    if what == moment and any(f"{{os.sep}}{{folder}}{{os.sep}}" in os.fspath(path) for folder in folders):
        seen += 1
        if seen == count:
            if what != "bytes":
                die()
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

def hook(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, os.PathLike)) and (arguments[2] or 0) & 3:
        at("open", arguments[0])
        at("bytes", arguments[0])
    elif event in ("os.rename", "os.link"):
        at("place", arguments[1])

def fsync(fd, sync=os.fsync):
    path = os.readlink(f"/proc/self/fd/{{fd}}")
    at("before fsync", path)
    sync(fd)
    at("after fsync", path)

os.fsync = fsync
sys.addaudithook(hook)
"""
MOMENTS = ("open", "bytes", "bytes", "bytes", "before fsync", "after fsync", "place")


KILLED = (-signal.SIGKILL, -signal.SIGXFSZ)


def checkpoint_writes(case: Case) -> Outcome:
    """Inside the write of a checkpoint."""
    return _until_killed(case, lambda: _inside(case, ("checkpoints",), case.random.randint(1, 5)))


def last_writes(case: Case) -> Outcome:
    """Inside the write of the weights or the record, at the end of the run."""
    return _until_killed(case, lambda: _inside(case, ("artifacts", "runs"), case.random.randint(1, 2)))


def random_times(case: Case) -> Outcome:
    """At some time after its start."""
    return _until_killed(case, lambda: _after(case, case.random.uniform(0, 2)))


def _inside(case: Case, folders: tuple[str, ...], count: int) -> tuple[str, Ended]:
    moment, size = case.random.choice(MOMENTS), int(10 ** case.random.uniform(0, 4.8))
    ended = case.run(*VANILLA, prelude=AT.format(folders=folders, moment=moment, count=count, size=size))
    return f"killed at {moment} {size if moment == 'bytes' else ''} number {count} of {'/'.join(folders)}", ended


def _after(case: Case, seconds: float) -> tuple[str, Ended]:
    pid = case.bench.start(case.folder / "project", *VANILLA)
    time.sleep(seconds)
    kill(pid)
    return f"killed after {seconds:.3f} s", case.bench.wait(pid)


def _until_killed(case: Case, attempt: Callable[[], tuple[str, Ended]]) -> Outcome:
    """A run that ends before it is killed is none: not every file is synced, or as long as that."""
    while True:
        folder = case.project()
        what, ended = attempt()
        if ended.code in KILLED:
            return _resumed(case).of(what)
        if ended.code != 0:
            return Outcome("traceback", f"{what}: {ended}")
        shutil.rmtree(folder)


def _resumed(case: Case) -> Outcome:
    again = case.run(*VANILLA)
    return again.fault() or case.reference.judge(case.folder / "project", ("tiny/vanilla", 1))


DRIVER = {checkpoint_writes: 100, random_times: 100, last_writes: 50}
