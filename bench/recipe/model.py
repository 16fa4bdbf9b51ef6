"""What a recipe says: a table of rows, each of one or more stages, and the published numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from bench.component import ALWAYS_IN_KEY, NEVER_IN_KEY, identity_of_fields
from bench.methods.base import Method, Synthesiser
from bench.metrics import ERROR, Metric
from bench.networks.base import Initial, Network
from bench.optimizers import Optimizer
from bench.quantisers import Quantiser
from bench.schedules import Schedule
from bench.schema import Fraction, NonNegative, NonNegativeInt, Positive, PositiveInt, Share

# What a table has columns of, beside its metric.
CostColumn = Literal["params", "trcost", "tecost", "iterations", "size"]
Column = CostColumn | Literal["ensemble", "fidelity", "train"]
COLUMNS: tuple[str, ...] = ("params", "trcost", "tecost", "iterations", "size", "ensemble", "fidelity", "train")
Protocol = Literal["last", "best", "unknown"]


@dataclass(frozen=True)
class Subset:
    """A balanced part of a set, drawn with its own ``seed``: a fraction of it, or so many images a class."""

    seed: NonNegativeInt
    fraction: Fraction | None = field(default=None, metadata=ALWAYS_IN_KEY)
    per_class: PositiveInt | None = field(default=None, metadata=ALWAYS_IN_KEY)

    def size(self, whole: int, classes: int) -> int:
        """How many images it has, of a ``whole`` set of so many ``classes``."""
        return self.per_class * classes if self.per_class else round((self.fraction or 0) * whole)


@dataclass(frozen=True)
class Data:
    """The set, its partition, and its modification; ``mean`` and ``std`` are a channel's, of pixels in 0 to 1.

    ``validation`` is a part of the training images ``train`` that is held out: a run trains on the others and is
    measured on that part, and sees no image of the test set. With it one chooses what no table states.

    ``resolution`` is the side to which images are reduced, and from which they are enlarged to their own again, for the
    networks that are trained and tested; None leaves them as they are. Teachers see them as they were trained to.
    """

    set: str
    train: Literal["all"] | Subset
    test: Literal["all"] | Subset
    crop_padding: NonNegativeInt
    padding_mode: Literal["constant", "reflect"]
    flip: bool
    mean: tuple[Share, ...]
    std: tuple[Positive, ...]
    validation: Subset | None = None
    resolution: PositiveInt | None = None

    def sizes(self, train: int, test: int, classes: int) -> tuple[int, int]:
        """How many images are trained on and how many tested on, of a set that has so many."""
        own, other = (
            whole if part == "all" else part.size(whole, classes)
            for part, whole in ((self.train, train), (self.test, test))
        )
        held_out = self.validation.size(own, classes) if self.validation else 0
        return own - held_out, held_out or other


@dataclass(frozen=True)
class Ref:
    """An edge to another run: ``[table/]row[.stage]#seed``; seed None is ``#same``. ``location`` is file:line.

    ``#source`` is the source of the row's seed, see :class:`Row`.
    """

    table: str
    row: str
    stage: str
    seed: int | Literal["source"] | None
    location: str


def _edge(recipe_key: str | None = None) -> Mapping[str, Any]:
    """Metadata of a field that names other runs: their keys are in a run's key, not what names them."""
    return {**NEVER_IN_KEY, **({"recipe_key": recipe_key} if recipe_key else {})}


# The rule of the initial weights where a recipe names none: that of every run before it could.
INITIAL: Initial = "he_fan_out"


@dataclass(frozen=True)
class Stage:
    """All that moves the numbers of one run, but its seed: of a training, or of the synthesis of images.

    ``transfer_set`` names a stage that synthesises the images to train on; ``data`` then gives the images to test on.
    A teacher cache changes no number: ``auto`` has one where it pays. ``initial`` is the rule of the initial weights.
    ``weights`` says how those of each network are represented, None in full precision; it is empty where all are.
    ``metric`` is what its table's is recorded as, measured beside the error.

    A recipe spells each field as it is called here, or as its metadata's ``recipe_key`` says, in a stage, its row or
    its table; ``name``, ``metric`` and ``location`` it does not say.
    """

    name: str = field(metadata={**NEVER_IN_KEY, "recipe_key": None})
    data: Data
    networks: tuple[Network, ...] = field(metadata={"recipe_key": "network"})
    method: Method | Synthesiser
    schedule: Schedule
    optimizer: Optimizer
    precision: Literal["auto", "float32", "bfloat16", "float64"]
    update: Literal["sequential", "simultaneous", "joint"] | None = field(default=None, metadata=ALWAYS_IN_KEY)
    initial: Initial = INITIAL
    weights: tuple[Quantiser | None, ...] = ()
    teachers: tuple[Ref, ...] = field(default=(), metadata=_edge("teacher"))
    init: Ref | None = field(default=None, metadata=_edge())
    transfer_set: Ref | None = field(default=None, metadata=_edge())
    seed: PositiveInt | Literal["source"] | None = field(default=None, metadata=NEVER_IN_KEY)
    teacher_cache: Literal["auto", "off"] = field(default="auto", metadata=NEVER_IN_KEY)
    metric: Metric = field(default=ERROR, metadata={"recipe_key": None})
    location: str = field(default="", metadata={**NEVER_IN_KEY, "recipe_key": None})

    @property
    def edges(self) -> dict[str, Ref]:
        """The runs that it takes artifacts from, by the name of the edge: the teachers first."""
        named = {edge: ref for edge in ("init", "transfer_set") if (ref := getattr(self, edge)) is not None}
        return {teacher_edge(i): ref for i, ref in enumerate(self.teachers)} | named

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What is part of its runs' identity: plain values, ready for JSON. Shared by them: not to be changed."""
        return identity_of_fields(self)

    @property
    def deployed_weights(self) -> Quantiser | None:
        """How those of its first network are represented, the one that its row deploys."""
        return self.weights[0] if self.weights else None

    @property
    def synthesises(self) -> bool:
        """Whether it makes images instead of training networks."""
        return isinstance(self.method, Synthesiser)


def teacher_edge(number: int) -> str:
    """The name of the edge to a stage's ``number``-th teacher, from 0: teacher, teacher.2, teacher.3, ..."""
    return f"teacher.{number + 1}" if number else "teacher"


# The keys by which recipes set the fields of a stage, and the field of each.
STAGE_KEYS: dict[str, str] = {
    key: f.name for f in fields(Stage) if (key := f.metadata.get("recipe_key", f.name)) is not None
}


@dataclass(frozen=True)
class Cell:
    """A published number: its spread and what that means, how many runs, where it stands, which epoch it is of.

    ``nets`` are the single networks behind a mean, where the paper prints them: numbers without a verdict of their own.
    """

    value: float
    source: str
    n: PositiveInt | Literal["unknown"] = "unknown"
    protocol: Protocol = "unknown"
    spread: NonNegative | None = None
    meaning: Literal["sd", "se", "half-range", "unknown"] = "unknown"
    note: str | None = None
    nets: tuple[float, ...] = ()


@dataclass(frozen=True)
class Row:
    """One row of a table; without stages it is printed as not available, as in the paper.

    One that is ``unreadable``, for want of a plug-in, has no stages either: that is why. One that ``waits``, and says
    for what, has published numbers all the same.

    ``nets`` is how many networks the paper trained for its row, one a seed, whatever the number of our ``seeds``.
    ``sources`` gives, by seed, what ``source`` stands for in its stages: the seed of a teacher, or of a first stage, of
    which the paper has one for all its networks.

    A row may name others: ``compared_with`` one whose published number its own is set against in the paper,
    ``hypothesis_of`` the scored one that this unscored row might explain, ``bounded_by`` an unscored one with the same
    network, trained until it gets no better, ``baseline`` one whose networks were trained alone, beside which its
    students' agreement with their teacher is shown.

    ``generations``, where it is more than one, is how many networks of a seed its ensembles put together: its own, its
    teacher, that one's teacher, and so on.

    ``survey`` is the work of the survey that it stands for, as the survey numbers it; no part of a run.
    """

    name: str
    label: str
    group: str
    stages: tuple[Stage, ...]
    seeds: tuple[int, ...]
    report: Literal["first", "mean"]
    priority: tuple[float, ...]
    nets: int = 1
    sources: Mapping[int, int] = field(default_factory=dict)
    published: dict[str, Cell] = field(default_factory=dict)
    unscored: str | None = None
    waits: str | None = None
    assumed: dict[str, str] = field(default_factory=dict)
    deviations: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    unreadable: str | None = None
    compared_with: Ref | None = None
    hypothesis_of: str | None = None
    bounded_by: str | None = None
    baseline: Ref | None = None
    generations: int = 1
    survey: str | None = None
    location: str = ""


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

    Of ``alike: ensembles`` it says instead that the rows' ensembles are within the margin of each other, of ``alike:
    rows`` that their means are. One that ``waits``, and says for what, is not tested yet. One that is ``ours`` is a
    sentence that the paper does not have.
    """

    text: str
    better: str
    worse: str
    alike: Literal["ensembles", "rows"] | None = None
    waits: str | None = None
    ours: bool = False


@dataclass(frozen=True)
class Table:
    """A table of a paper: what its rows are and how its numbers are to be read."""

    name: str
    title: str
    paper: str
    metric: Metric
    columns: tuple[str, ...]
    grouped_by: str
    margin: float
    words: dict[str, Words]
    rows: dict[str, Row]
    claims: tuple[Claim, ...]
    assumed: dict[str, str]
    deviations: tuple[str, ...]
    file: Path
    location: str = ""
