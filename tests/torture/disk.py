"""Disks that are full, folders that cannot be written or read, outputs that take nothing.

A command says so in one line, and once the fault is gone the same command comes to what it would have come to.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.torture.harness import REPORT, VANILLA, Ended, Outcome, environment, results
from tests.torture.packs import ARCHIVES, unpacked
from tests.torture.reference import Case

# No file grows beyond so many bytes.
SMALL_FILES = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))"
# A superuser may write everywhere, unless its process gives that up: capabilities 1 and 2, among the effective ones.
NO_SUPERUSER = """
import ctypes
libc, header, sets = ctypes.CDLL(None), (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
libc.capget(header, sets)
sets[0] &= ~0b110
libc.capset(header, sets)
"""
FOLDERS = ("runs", "artifacts", "checkpoints", "locks", "tables", ".")


@dataclass(frozen=True)
class Work:
    """A command, the files of the reference that it begins with, and what must have come of it."""

    argv: tuple[str, ...]
    begins_with: Callable[[Case], list[Path]]
    judge: Callable[[Case, Ended], Outcome]


def _trained(case: Case, ended: Ended) -> Outcome:
    return case.reference.judge(case.folder / "project", ("tiny/vanilla", 1))


def _reported(case: Case, ended: Ended) -> Outcome:
    same = ended.out == case.reference.report
    return Outcome("harmless", "the same table") if same else Outcome("lost", "another table, or a part of it")


def _written(case: Case, ended: Ended) -> Outcome:
    path = case.folder / "project" / "results" / "tables" / "tiny.md"
    whole = path.is_file() and path.read_text().rstrip().count("\n") > 5
    return Outcome("harmless", "written") if whole else Outcome("lost", f"{path.name} is not there")


def _collected(case: Case, ended: Ended) -> Outcome:
    root = case.folder / "project" / "results"
    members = [member for name in ARCHIVES for member in unpacked(case.reference.packs[0], name)]
    for name, data in members:
        if not (root / name).is_file():
            return Outcome("lost", f"no {name}")
        if (root / name).read_bytes() != data:
            return Outcome("believed", f"another {name}")
    return Outcome("harmless", "all of it")


def _work(case: Case) -> Work:
    """One of four."""
    collect = Work(("collect", str(case.reference.packs[0])), lambda case: [], _collected)
    train = Work(VANILLA, lambda case: [], _trained)
    whole = Work(REPORT, lambda case: results(case.reference.folder, "runs"), _reported)
    write = Work(("report", "tiny", "--write"), whole.begins_with, _written)
    return case.random.choice((train, train, collect, whole, write))


@dataclass
class Fault:
    """What is wrong: the code that goes before the command, or what is laid in its way.

    With a redirection, even of nothing, the command has a process of its own, in a shell, and an environment.
    """

    told: str
    prelude: str = ""
    shell: str = ""
    env: dict[str, str] = field(default_factory=dict)


def faults(case: Case) -> Outcome:
    """One fault, and the same command after it."""
    work = _work(case)
    folder = case.project(*work.begins_with(case))
    with ExitStack() as undone:
        fault = case.random.choice(FAULTS)(case, folder / "results", undone)
        ended = _shell(case, work.argv, fault) if fault.shell else case.run(*work.argv, prelude=fault.prelude)
    told = f"{fault.told}, `{' '.join(work.argv)[:60]}`"
    # Whoever closes a pipe wants no more of it: the command may end as it likes, but not give up its work unseen.
    closed = fault.shell.startswith("|") and ended.code == 1 and "Traceback" not in ended.err
    # Without any output, its exit code is all that a command can tell.
    mute = "2>&-" in fault.shell and ended.code == 2
    if not closed and not mute and (outcome := ended.fault()):
        return outcome.of(told)
    unsaid = ended.code == 0 or (closed and not ended.err)
    if unsaid and not (fault.shell and work.argv == REPORT):
        outcome = work.judge(case, ended)
        if outcome.kind != "harmless":
            return outcome.of(f"{told}, exit code {ended.code}")
    again = case.run(*work.argv)
    if again.code == 2:
        return Outcome("lost", f"{told}; afterwards: {again.err.strip()[:300]}")
    outcome = again.fault() or work.judge(case, again)
    return (ended.says("\0") or outcome if outcome.kind == "harmless" else outcome).of(told)


BENCH = "import runpy; runpy.run_module('bench', run_name='__main__', alter_sys=True)"


def _shell(case: Case, argv: tuple[str, ...], fault: Fault) -> Ended:
    """A command in a shell of its own, with its output where the fault says."""
    code = f"{fault.prelude}\n{BENCH}"
    command = ["bash", "-c", f'set -o pipefail; "$0" -c "$@" {fault.shell}', sys.executable, code, *argv]
    env, folder = environment(**fault.env), case.folder / "project"
    try:
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, timeout=600)
    except subprocess.TimeoutExpired:
        return Ended(None, "", "")
    return Ended(done.returncode, *(text.decode(errors="replace") for text in (done.stdout, done.stderr)))


# Faults; each is undone when the stack is closed.


def _small_files(case: Case, root: Path, undone: ExitStack) -> Fault:
    size = int(10 ** case.random.uniform(0, 4.5))
    return Fault(f"no file larger than {size} bytes", SMALL_FILES.format(size=size), shell=" ")


def _full_disk(case: Case, root: Path, undone: ExitStack) -> Fault:
    """A disk of some pages, where one may be mounted."""
    size = 4096 * case.random.choice((1, 4, 5, 6, 8, 10, 12, 20))
    kept = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", root], capture_output=True).returncode:
        return _small_files(case, root, undone)
    # What is there is there still, and after the fault there is room.
    for path, data in kept.items():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    filled = root / "filled"
    free = os.statvfs(root)
    filled.write_bytes(bytes(max(0, free.f_bavail * free.f_frsize - size)))
    case.mounted.callback(subprocess.run, ["umount", root], check=True)
    undone.callback(filled.unlink)
    return Fault(f"a disk with {size} bytes left")


def _read_only(case: Case, root: Path, undone: ExitStack) -> Fault:
    path = root / case.random.choice(FOLDERS)
    path.mkdir(exist_ok=True)
    mode = case.random.choice((0o555, 0o555, 0o000))
    path.chmod(mode)
    undone.callback(path.chmod, 0o755)
    return Fault(f"{path.relative_to(root.parent)} has mode {mode:o}", NO_SUPERUSER)


def _unreadable(case: Case, root: Path, undone: ExitStack) -> Fault:
    path = case.random.choice(sorted(path for path in root.parent.rglob("*") if path.is_file()))
    path.chmod(0)
    undone.callback(path.chmod, 0o644)
    return Fault(f"{path.name} cannot be read", NO_SUPERUSER)


def _in_the_way(case: Case, root: Path, undone: ExitStack) -> Fault:
    """A file, or a link to nothing, where a folder should be."""
    path = root / case.random.choice(FOLDERS[:-1])
    if path.exists():
        path.rename(root / "aside")
        undone.callback((root / "aside").rename, path)
    if case.random.random() < 0.5:
        path.write_text("")
    else:
        path.symlink_to("/nowhere/at/all")
    undone.callback(path.unlink)
    return Fault(f"{path.name} is {'a dangling link' if path.is_symlink() else 'a file'}")


def _output(case: Case, root: Path, undone: ExitStack) -> Fault:
    how = case.random.choice((">/dev/full", ">/dev/full", ">&-", ">&- 2>&-", "| head -c 1", "| true"))
    return Fault(f"output {how}", shell=how)


def _encoding(case: Case, root: Path, undone: ExitStack) -> Fault:
    """A label that the output has no characters for."""
    recipe = root.parent / "recipes" / "tiny" / "table.yaml"
    text = recipe.read_text(encoding="utf-8")
    recipe.write_text(text.replace("label: Vanilla", "label: Größe λ 漢字"), encoding="utf-8")
    undone.callback(recipe.write_text, text, encoding="utf-8")
    env = case.random.choice(
        (
            {"PYTHONIOENCODING": "ascii"},
            {"PYTHONIOENCODING": "latin-1"},
            {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        )
    )
    return Fault(f"an output of {env}", shell=" ", env=env)


FAULTS: tuple[Callable[[Case, Path, ExitStack], Fault], ...] = (
    *(_small_files, _full_disk, _full_disk, _read_only, _read_only, _unreadable, _in_the_way, _output, _encoding),
)
DRIVER = {faults: 60}
