"""What several tests begin with: a folder of recipes made from a small one, and records made by hand."""

from pathlib import Path
from typing import Any

from bench.graph import Run
from bench.recipe import Library, load
from bench.record import Record, Result

SMALL = (Path(__file__).parent / "recipe" / "small.yaml").read_text(encoding="utf-8")
DISTANCES = "# any text: only its digest counts\na,0,1\nb,1,0\n"


def changed(text: str, *changes: tuple[str, str]) -> str:
    """The text with each (old, new) carried out; the old must be there once, so that no test changes nothing."""
    for old, new in changes:
        assert text.count(old) == 1, f"{old!r} is there {text.count(old)} times"
        text = text.replace(old, new)
    return text


def write(folder: Path, text: str = SMALL, name: str = "table.yaml") -> Path:
    """A recipe in its folder of recipes, with the distances that it names; the folder is for :func:`load`."""
    paper = folder / "recipes" / "paper"
    paper.mkdir(parents=True, exist_ok=True)
    (paper / name).write_text(text, encoding="utf-8")
    (paper / "distances.csv").write_text(DISTANCES, encoding="utf-8")
    return paper.parent


def library(folder: Path, *changes: tuple[str, str]) -> Library:
    """The small recipe, changed."""
    return load(write(folder, changed(SMALL, *changes)))


def epoch(number: int, test_error: float = 30.0) -> dict[str, Any]:
    """An epoch of a curve."""
    network = {"loss": {"ce": 1.0}, "train_error": 20.0, "test_error": test_error}
    return {"epoch": number, "lr": 0.1, "networks": [network], "seconds": 1.0}


def record(run: Run, **said: Any) -> Record:
    """A record of a run."""
    whole: dict[str, Any] = {
        "key": run.key,
        "id": run.id,
        "name": run.name,
        "profile": run.profile,
        "seed": run.seed,
        "status": "done",
        "recipe": run.recipe,
        "results": [Result(30.0, 29.5, 9)],
        "curve": [epoch(1)],
        "versions": run.versions,
        "precision": "float32",
        "device": "Imaginary GPU",
        "seconds": 1.0,
        "flops": None,
        "peak_memory": None,
        "libraries": {},
        "commit": None,
        "warnings": [],
        "taken": {},
        "artifact": None,
        "finished": "2031-01-01T00:00:00+00:00",
    }
    return Record(**{**whole, **said})
