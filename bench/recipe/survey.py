"""The survey whose four stages recipes follow, as its own tables have it: a file ``survey.yaml`` beside the recipes."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bench.nodes import compose
from bench.schema import entries, fill


@dataclass(frozen=True)
class Stages:
    """What a work does in each stage, in words.

    Args:
        data: how the data are modified or parted.
        teacher: how many teachers, and of which kind.
        knowledge: what is distilled.
        method: where it is taken, and how it comes to the student.
        student: how many students, of which kind, and how they begin.
    """

    data: str
    teacher: str
    knowledge: str
    method: str
    student: str


@dataclass(frozen=True)
class Work:
    """A row of the survey's tables.

    Args:
        cites: authors, title and place of the work.
        objective: what it is for.
        says: its stages in the survey's words.
        sets: its data sets.
        number: what the survey or the paper states.
        source: where that stands, and how certain it is.
        standing: why no recipe stands for it, in a word.
        waits: what it waits for.
    """

    cites: str
    objective: str
    says: Stages
    sets: str
    number: str
    source: str
    standing: Literal["needs data", "other domain"] | None = None
    waits: str | None = None


@dataclass(frozen=True)
class Survey:
    """The works by table and by their number in the survey, ``9``, or ``1 (Ex. 2)`` where it has several of one."""

    paper: str = ""
    tables: dict[str, dict[str, Work]] = field(default_factory=dict)

    @property
    def works(self) -> dict[str, Work]:
        """All of them."""
        return {name: work for works in self.tables.values() for name, work in works.items()}


def read_survey(path: Path, shown: str) -> Survey:
    """Read and check the file; RecipeError with file and line for any fault."""
    root = compose(path, shown)
    return fill(Survey, entries(root, "survey"), root, "survey")
