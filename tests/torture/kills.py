"""Runs that are killed without a warning: each one, resumed, comes to the bits of the one that nothing stopped."""

import time

from tests.torture.harness import VANILLA, Outcome, kill
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


def checkpoint_writes(case: Case) -> Outcome:
    """Inside the write of a checkpoint."""
    return _inside(case, ("checkpoints",), case.random.randint(1, 5))


def last_writes(case: Case) -> Outcome:
    """Inside the write of the weights or the record, at the end of the run."""
    return _inside(case, ("artifacts", "runs"), case.random.randint(1, 2))


def _inside(case: Case, folders: tuple[str, ...], count: int) -> Outcome:
    moment, size = case.random.choice(MOMENTS), int(10 ** case.random.uniform(0, 4.8))
    folder = case.project()
    ended = case.run(*VANILLA, prelude=AT.format(folders=folders, moment=moment, count=count, size=size))
    what = f"killed at {moment} {size if moment == 'bytes' else ''} number {count} of {'/'.join(folders)}"
    # A record is not synced everywhere, and not every write is as long as that: then it went on to its end.
    if ended.code == 0:
        return case.reference.judge(folder, ("tiny/vanilla", 1)).of(f"not {what}")
    if ended.code not in (-9, -25):
        return Outcome("traceback", f"{what}: {ended}")
    return _resumed(case).of(what)


def random_times(case: Case) -> Outcome:
    """At some time after its start."""
    folder = case.project()
    pid = case.bench.start(folder, *VANILLA)
    seconds = case.random.uniform(0, 2)
    time.sleep(seconds)
    kill(pid)
    ended = case.bench.wait(pid)
    return _resumed(case).of(f"killed after {seconds:.3f} s" if ended.code else "not killed")


def _resumed(case: Case) -> Outcome:
    again = case.run(*VANILLA)
    return again.fault() or case.reference.judge(case.folder / "project", ("tiny/vanilla", 1))


DRIVER = {checkpoint_writes: 100, random_times: 100, last_writes: 50}
