"""What the drivers share: the code under test, a tiny project, its results when nothing is broken, and outcomes.

The code under test is this repository, or the folder that KDBENCH_TORTURE_CODE names. It is reached through the command
line and files alone, so that an older one can be broken the same way.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Literal

from tests.conftest import TINY

HERE = Path(__file__).parent
CODE = Path(os.environ.get("KDBENCH_TORTURE_CODE") or HERE.parents[1]).resolve()
SECONDS = 20.0  # of computing: a command that takes longer hangs, for it trains one tiny network at most
RECIPE = (
    TINY.replace("fraction: 0.1", "fraction: 0.05")
    .replace("width: 0.5", "width: 0.25")
    .replace("epochs: 4", "epochs: 6")
)
RUN = ("run", "tiny", "--profile", "paper", "--device", "cpu", "--at-once", "1")
VANILLA = (*RUN, "--row", "vanilla", "--seed", "1")
KD = (*RUN, "--row", "kd", "--seed", "1")
GPU = ("gpu", "--budget", "600", "--table", "tiny", "--device", "cpu", "--out", "packed")
REPORT = ("report", "tiny", "--format", "json")

Kind = Literal["told", "harmless", "believed", "traceback", "hang", "lost"]
KINDS: tuple[Kind, ...] = ("told", "harmless", "believed", "traceback", "hang", "lost")
FAILURES = KINDS[2:]


@dataclass(frozen=True)
class Outcome:
    """What came of one case.

    ``told``: one line and exit code 2, or said and set aside. ``harmless``: the result is that of the reference.
    ``believed``: another number, other weights or an order from outside were accepted unseen. ``lost``: a result is
    gone unseen. ``why`` says what was done and what was seen.
    """

    kind: Kind
    why: str

    def of(self, damage: str) -> "Outcome":
        """With what was done, before what was seen."""
        return Outcome(self.kind, f"{damage}: {self.why}")


@dataclass(frozen=True)
class Ended:
    """How a command ended; ``code`` is None if it was stopped because it hung."""

    code: int | None
    out: str
    err: str
    cpu: float = 0.0

    def fault(self, lines: int = 1) -> Outcome | None:
        """An end that no command may have: it hung, or ended otherwise than well or with so many lines and code 2."""
        last = (self.err.strip() or self.out.strip() or "nothing").splitlines()[-1][:300]
        if self.code is None or self.cpu > SECONDS:
            return Outcome("hang", f"after {self.cpu:.0f} s of computing: {last}")
        if "Traceback" in self.out + self.err or self.code not in (0, 2):
            return Outcome("traceback", f"exit code {self.code}: {last}")
        if self.code == 2 and not 1 <= len(self.err.splitlines()) <= lines:
            return Outcome("traceback", f"exit code 2 with {len(self.err.splitlines())} lines: {last}")
        return None

    def says(self, *words: str) -> Outcome | None:
        """It told the person of the fault: with exit code 2, or with one of some words."""
        if self.code == 2:
            return Outcome("told", self.err.strip()[:300])
        text = self.out + self.err
        if any(word in text for word in ("set aside", *words)):
            return Outcome(
                "told", next(line for line in text.splitlines() if any(w in line for w in ("set aside", *words)))
            )
        return None


class Bench:
    """The code under test, and the one process that starts its commands."""

    def __init__(self, scratch: Path) -> None:
        self.scratch, self.numbers = scratch, count()
        nothing = scratch / "nothing"
        (nothing / "recipes").mkdir(parents=True)
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(HERE / "server.py"), str(nothing)],
            env=environment(),
            cwd=scratch,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.outputs: dict[int, tuple[Path, Path]] = {}
        found = self._answer()["code"]
        assert found == str(CODE), f"the code under test is {found}, not {CODE}"

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def _ask(self, **request: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        print(json.dumps(request), file=self.process.stdin, flush=True)
        return self._answer()

    def start(self, cwd: Path, *argv: str, prelude: str = "") -> int:
        """A command in a process of its own, after Python code that goes before it; its number."""
        number = next(self.numbers)
        out, err = self.scratch / f"{number}.out", self.scratch / f"{number}.err"
        pid: int = self._ask(do="start", cwd=str(cwd), argv=argv, prelude=prelude, out=str(out), err=str(err))["pid"]
        self.outputs[pid] = out, err
        return pid

    def wait(self, pid: int, seconds: float = SECONDS) -> Ended:
        """How it ended; it is stopped after so many seconds of computing, or if it does nothing at all."""
        answer = self._ask(do="wait", pid=pid, seconds=seconds)
        if answer["code"] is None:
            kill(pid)
            answer["cpu"] = self._ask(do="wait", pid=pid, seconds=SECONDS)["cpu"]
        return Ended(answer["code"], *(_text(path) for path in self.outputs.pop(pid)), answer["cpu"])

    def run(self, cwd: Path, *argv: str, prelude: str = "", seconds: float = SECONDS) -> Ended:
        """A command, to its end."""
        return self.wait(self.start(cwd, *argv, prelude=prelude), seconds)

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def environment(**more: str) -> dict[str, str]:
    """Of a process that runs the code under test, on one thread and without data sets."""
    return {**os.environ, "PYTHONPATH": str(CODE), "OMP_NUM_THREADS": "1", "KDBENCH_DATA": "", **more}


def kill(pid: int) -> None:
    """A command and whatever it started, without a warning; it stays there to be waited for."""
    os.kill(pid, signal.SIGKILL)


def _text(path: Path) -> str:
    text = path.read_bytes()[:1_000_000].decode(errors="backslashreplace")
    path.unlink()
    return text


def project(folder: Path, *copied: Path) -> Path:
    """A project folder with the tiny recipe, and some files of the results of another one."""
    (folder / "recipes" / "tiny").mkdir(parents=True)
    (folder / "recipes" / "tiny" / "table.yaml").write_text(RECIPE, encoding="utf-8")
    for path in copied:
        target = folder / "results" / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return folder


def results(folder: Path, kind: str) -> list[Path]:
    """The files of one kind in a project: ``runs``, ``artifacts`` or ``checkpoints``, without half-written ones."""
    suffix = ".json" if kind == "runs" else ".safetensors"
    return sorted((folder / "results" / kind).glob(f"*{suffix}"))


# What a record says of itself: without it, it says nothing else.
SEALS = ("digest", "sha256")


def changed(original: Path, path: Path) -> str | None:
    """What a record says that it did not say; None if that is nothing."""
    try:
        texts = [file.read_text() for file in (original, path)]
        ours, theirs = ({k: v for k, v in json.loads(text).items() if k not in SEALS} for text in texts)
        fields = sorted(field for field in {*ours, *theirs} if repr(ours.get(field)) != repr(theirs.get(field)))
        return f"{path.name} has another {', '.join(fields)}" if fields else None
    except FileNotFoundError:
        return f"{path.name} is nobody's"
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
        return f"{path.name} is no record ({type(error).__name__})"
