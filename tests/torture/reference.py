"""The tiny project when nothing is broken: what every case is compared with."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

from tests.torture.harness import GPU, REPORT, RUN, Bench, Ended, Outcome, project, results


def essence(record: dict[str, Any]) -> dict[str, Any]:
    """What does not depend on when and how fast a run was made; seconds need only be some."""
    same = ("key", "id", "name", "profile", "seed", "status", "recipe", "results", "versions", "precision", "flops")
    curve = [{key: value for key, value in entry.items() if key != "seconds"} for entry in record["curve"]]
    sources = {edge: taken["artifact"] for edge, taken in record["taken"].items()}
    possible = 0 < sum(entry["seconds"] for entry in record["curve"]) <= record["seconds"] + 0.1 < 3600
    whole = {key: record[key] for key in (*same, "artifact")}
    return {**whole, "curve": curve, "sources": sources, "possible seconds": possible}


@dataclass(frozen=True)
class Reference:
    """The tiny project when nothing is broken.

    Args:
        folder: the project, all trained.
        records: the file of each run, by name and seed.
        report: its table, as JSON.
        checkpoints: those of each run, by its id; the n-th one is of epoch n.
        packs: two folders as ``kdbench gpu`` packs them: the same run unfinished, and further on.
        verifies: whether the code under test has ``kdbench verify``.
    """

    folder: Path
    records: dict[tuple[str, int], Path]
    report: str
    checkpoints: dict[str, list[Path]]
    packs: tuple[Path, Path]
    verifies: bool

    def id(self, row: str, seed: int = 1) -> str:
        """Of a run."""
        return self.records[f"tiny/{row}", seed].stem

    def artifact(self, row: str, seed: int = 1) -> Path:
        """Of a run."""
        return self.folder / "results" / "artifacts" / f"{self.id(row, seed)}.safetensors"

    def verdict(self, ended: Ended, folder: Path, word: str, *runs: tuple[str, int]) -> Outcome:
        """What came of a command that met a file that was damaged, and that may say so with some word."""
        if fault := ended.fault():
            return fault
        outcome = self.judge(folder, *(runs if ended.code == 0 else ()))
        return (ended.says(word) or outcome) if outcome.kind == "harmless" else outcome

    def judge(self, folder: Path, *runs: tuple[str, int]) -> Outcome:
        """Whether some runs of another project came to the same, and no record there says anything else."""
        present = set[tuple[str, int]]()
        for path in results(folder, "runs"):
            try:
                record = json.loads(path.read_text())
                run = record["name"], record["seed"]
                expected = essence(json.loads(self.records[run].read_text()))
                differs = [key for key, value in essence(record).items() if value != expected[key]]
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                return Outcome("believed", f"{path.name} is no record ({error!r}), and nothing was said")
            weights = folder / "results" / "artifacts" / f"{path.stem}.safetensors"
            if run in runs and weights.is_file() and sha256(weights.read_bytes()).hexdigest() != record["artifact"]:
                differs.append("the file of weights")
            if differs:
                return Outcome("believed", f"{run[0]} seed {run[1]} has another {', '.join(differs)}")
            present.add(run)
        missing = [f"{name} seed {seed}" for name, seed in runs if (name, seed) not in present]
        return (
            Outcome("lost", f"no record of {', '.join(missing)}") if missing else Outcome("harmless", "the same bits")
        )


def on_checkpoint(then: str) -> str:
    """Code that goes before a command: what it does just before a checkpoint, ``source``, takes its place.

    ``name`` is the run's id, ``n`` counts its checkpoints from 1.
    """
    return f"""
import os, shutil, signal, sys
seen = {{}}
def hook(event, arguments):
    if event == "os.rename" and "checkpoints" in str(arguments[1]):
        source, name = arguments[0], os.path.basename(arguments[1]).split(".")[0]
        n = seen[name] = seen.get(name, 0) + 1
        {then}
sys.addaudithook(hook)
"""


SMALL_PARTS = "import bench.pack; bench.pack.PART_BYTES = 20_000\n"


def make_reference(bench: Bench, folder: Path) -> Reference:
    """Train the tiny project once, and pack it half done."""
    whole, kept = project(folder / "whole"), folder / "kept"
    kept.mkdir()
    _well(bench.run(whole, *RUN, prelude=on_checkpoint(f"shutil.copy(source, f'{kept}/{{name}}.{{n}}')"), seconds=600))
    said = {path: json.loads(path.read_text()) for path in results(whole, "runs")}
    records = {(record["name"], record["seed"]): path for path, record in said.items()}
    ordered = sorted(kept.iterdir(), key=lambda path: int(path.suffix[1:]))
    checkpoints = {path.stem: [own for own in ordered if own.stem == path.stem] for path in said}
    packs = tuple(_pack(bench, folder, records["tiny/kd", 1].stem, n) for n in (2, 3))
    report = _well(bench.run(whole, *REPORT)).out
    return Reference(whole, records, report, checkpoints, packs, bench.run(whole, "verify", "-h").code == 0)


def _pack(bench: Bench, folder: Path, unfinished: str, n: int) -> Path:
    """The same project packed after ``n`` more checkpoints of a run."""
    half = folder / "half"
    if not half.exists():
        project(half)
        (half / "results").mkdir()
        shutil.copy(folder / "whole" / "results" / "costs.json", half / "results")
    stop = on_checkpoint(f"if name == '{unfinished}' and n == {n}: os.kill(os.getpid(), signal.SIGINT)")
    _well(bench.run(half, *GPU, prelude=SMALL_PARTS + stop, seconds=600), 0, 130)
    assert [path.stem for path in results(half, "checkpoints")] == [unfinished]
    return Path(shutil.copytree(half / "packed", folder / f"packed{n}"))


def _well(ended: Ended, *codes: int) -> Ended:
    assert ended.code in (codes or (0,)), ended
    return ended


@dataclass(frozen=True)
class Case:
    """One case of a driver: its own random numbers, an empty folder, and what there is to compare with.

    What was ``mounted`` in the folder is unmounted in the end.
    """

    random: Random
    folder: Path
    bench: Bench
    reference: Reference
    mounted: ExitStack

    def project(self, *copied: Path) -> Path:
        """The tiny project with some files of the reference's results, and its networks counted."""
        folder = project(self.folder / "project", *copied)
        (folder / "results").mkdir(exist_ok=True)
        shutil.copy(self.reference.folder / "results" / "costs.json", folder / "results")
        return folder

    def run(self, *argv: str, prelude: str = "") -> Ended:
        """A command in the project."""
        return self.bench.run(self.folder / "project", *argv, prelude=prelude)


Attempt = Callable[[Case], Outcome]


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder that is gone afterwards, whatever became of what is in it."""
    with tempfile.TemporaryDirectory(prefix="torture-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def carry_out(attempt: Attempt, seed: int, number: int, bench: Bench, reference: Reference) -> Outcome:
    """One case; the same seed and number make the same one."""
    random = Random(f"{seed}/{attempt.__module__}/{attempt.__name__}/{number}")
    with scratch_folder() as folder, ExitStack() as mounted:
        return attempt(Case(random, folder, bench, reference, mounted))
