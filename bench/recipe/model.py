"""What a recipe says: a table of rows, each of one or more stages, and the published numbers."""

from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from bench.registry import METHODS
from bench.schema import Fraction, NonNegative, NonNegativeInt, Positive, PositiveInt

# The keys that a stage may say for itself; a row and, for most, the table say them for all of its stages.
EDGES = ("teacher", "init", "transfer_set")
STAGE_KEYS = (
    "data",
    "network",
    "method",
    "update",
    "schedule",
    "optimizer",
    "precision",
    *EDGES,
    "seed",
    "teacher_cache",
)
# Of a stage: its name and place in a file, its edges, the seed that it may fix, and what changes no number.
NOT_OF_A_RUN = ("name", "where", "seed", "teacher_cache", *EDGES)

Quality = Literal["error", "accuracy"]
Metric = Literal["error", "accuracy", "params", "trcost", "tecost", "iterations", "ensemble"]
Protocol = Literal["last", "best", "unknown"]


@dataclass(frozen=True)
class Spec:
    """A component as a recipe names it: ``{name: {parameter: value, ...}}``."""

    name: str
    params: dict[str, Any]


@dataclass(frozen=True)
class Subset:
    """A balanced part of a set, drawn with its own ``seed``: a fraction of it, or so many images a class."""

    seed: NonNegativeInt
    fraction: Fraction | None = None
    per_class: PositiveInt | None = None


@dataclass(frozen=True)
class Data:
    """The set, its partition, and its modification; ``mean`` and ``std`` are a channel's, of pixels in 0 to 1."""

    set: str
    train: Literal["all"] | Subset
    test: Literal["all"] | Subset
    crop_padding: NonNegativeInt
    padding_mode: Literal["constant", "reflect"]
    flip: bool
    mean: tuple[float, ...]
    std: tuple[Positive, ...]


@dataclass(frozen=True)
class Schedule:
    """Length in epochs or iterations; the rate ``lr`` is multiplied by ``gamma`` at each of ``drops`` (same unit)."""

    batch: PositiveInt
    lr: Positive
    drops: tuple[PositiveInt, ...]
    gamma: Positive
    epochs: PositiveInt | None = None
    iterations: PositiveInt | None = None

    def steps(self, per_epoch: int) -> int:
        """The number of optimiser steps of a run, for so many steps an epoch."""
        return self.iterations or (self.epochs or 0) * per_epoch

    def passes(self, per_epoch: int) -> int:
        """The number of epochs of a run, the last of which may be cut short."""
        return -(-self.steps(per_epoch) // per_epoch)


@dataclass(frozen=True)
class Ref:
    """An edge to another run: ``[table/]row[.stage]#seed``; seed None is ``#same``. ``where`` is file:line."""

    table: str
    row: str
    stage: str
    seed: int | None
    where: str


@dataclass(frozen=True)
class Stage:
    """All that moves the numbers of one run, but its seed: of a training, or of the synthesis of images.

    ``transfer_set`` names a stage that synthesises the images to train on; ``data`` then gives the images to test on.
    A teacher cache changes no number: ``auto`` has one where it pays.
    """

    name: str
    data: Data
    networks: tuple[Spec, ...]
    method: Spec
    update: Literal["sequential", "simultaneous", "joint"] | None
    schedule: Schedule
    optimizer: Spec
    precision: Literal["auto", "float32", "bfloat16", "float64"]
    teacher: Ref | None = None
    init: Ref | None = None
    transfer_set: Ref | None = None
    seed: int | None = None
    teacher_cache: Literal["auto", "off"] = "auto"
    where: str = ""

    @property
    def edges(self) -> dict[str, Ref]:
        """The runs that it takes artifacts from, by the name of the edge."""
        return {edge: ref for edge in EDGES if (ref := getattr(self, edge)) is not None}

    @cached_property
    def said(self) -> dict[str, Any]:
        """What is part of its runs' identity: plain values, ready for JSON."""
        return {key: _plain(value) for key, value in asdict(self).items() if key not in NOT_OF_A_RUN}

    @property
    def synthesises(self) -> bool:
        """Whether it makes images instead of training networks."""
        return METHODS[self.method.name].kind == "synthesise"


@dataclass(frozen=True)
class Cell:
    """A published number: its spread and what that means, how many runs, where it stands, which epoch it is of."""

    value: float
    source: str
    n: PositiveInt | Literal["unknown"] = "unknown"
    protocol: Protocol = "unknown"
    spread: NonNegative | None = None
    meaning: Literal["sd", "se", "half-range", "unknown"] = "unknown"
    note: str | None = None


@dataclass(frozen=True)
class Row:
    """One row of a table; without stages it is printed as not available, as in the paper.

    ``nets`` is how many networks the paper trained for its row, one a seed, whatever the number of our ``seeds``.
    """

    name: str
    label: str
    group: str
    stages: tuple[Stage, ...]
    seeds: tuple[int, ...]
    report: Literal["first", "mean"]
    value: tuple[float, ...]
    nets: int = 1
    published: dict[str, Cell] = field(default_factory=dict)
    unscored: str | None = None
    assumed: dict[str, str] = field(default_factory=dict)
    deviations: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    where: str = ""


@dataclass(frozen=True)
class Words:
    """Where a set's word distances stand (a file beside the recipe), and how they are made from word vectors.

    ``labels`` maps a class whose own name has no vector to another word, or to words whose mean is taken.
    """

    distances: str
    source: str
    labels: dict[str, str | tuple[str, ...]]
    note: str | None = None


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper that says that row ``better`` beats row ``worse``; both name rows of this table.

    Of ``alike: ensembles`` it says instead that the rows' ensembles are within the margin of each other.
    """

    text: str
    better: str
    worse: str
    alike: Literal["ensembles"] | None = None


@dataclass(frozen=True)
class Table:
    """A table of a paper: what its rows are and how its numbers are to be read."""

    name: str
    title: str
    paper: str
    metric: Quality
    columns: tuple[Metric, ...]
    grouped_by: str
    margin: float
    words: dict[str, Words]
    rows: dict[str, Row]
    claims: tuple[Claim, ...]
    assumed: dict[str, str]
    deviations: tuple[str, ...]
    file: Path
    where: str = ""


def _plain(value: Any) -> Any:
    if isinstance(value, dict) and "digest" in value and "file" in value:
        return {"distances": value["digest"]}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
