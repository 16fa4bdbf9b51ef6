"""A report as plain values: everything that any of its formats can show, and nothing about how."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bench.metrics import Metric
from bench.profiles import Profile
from bench.recipe import Cell
from bench.recipe.model import CostColumn
from bench.report.verdict import Verdict

Epoch = Literal["last", "best"]


@dataclass(frozen=True)
class Measured:
    """Our values of the table's metric under one protocol; diverged runs are in neither ``values`` nor ``mean``.

    ``values`` is by seed, ``planned`` the seeds that the recipe names, ``sources`` the groups of runs that share no
    source. ``mean`` is that of the source means and ``sd`` the standard deviation of one run of one source: the
    sample's (ddof 1), where each run has its own source or all have one. ``difference`` is our mean minus the published
    value.
    """

    protocol: Epoch
    values: Mapping[int, float]
    planned: int
    diverged: int
    sources: int
    mean: float | None
    sd: float | None
    difference: float | None
    verdict: Verdict | None


@dataclass(frozen=True)
class Ensemble:
    """The table's metric of the mean softmax output of ``size`` networks, over all subsets of our seeds.

    Or over the seeds, where each has an ensemble of its own: of generations.

    ``mean`` and ``sd`` are over ``count`` subsets, which share networks: there is no verdict.
    """

    size: int
    published: float | None
    count: int = 0
    mean: float | None = None
    sd: float | None = None

    @property
    def difference(self) -> float | None:
        """Our mean minus the published value."""
        return None if self.mean is None or self.published is None else self.mean - self.published


@dataclass(frozen=True)
class Fidelity:
    """How good a row's probabilities are, and how near its teacher's: means over ``n`` seeds, by name.

    The names are those of :class:`bench.record.FidelityEntry`. ``baseline`` has the same of networks of the same seeds
    that were trained alone, beside the same teachers; empty where there is none.
    """

    n: int
    means: Mapping[str, float]
    baseline: Mapping[str, float]


@dataclass(frozen=True)
class CostCell:
    """A published cost beside the derived one.

    Params are in millions, size in 1e6 bytes, trcost and tecost in 1e8 FLOPs an image. Iterations are those of all
    networks that the published row trained.
    """

    published: float | None
    derived: float | None
    verdict: Verdict | None


@dataclass(frozen=True)
class Training:
    """FLOPs of training one seed of a row, all epochs, backward included; None where a network was not counted yet.

    ``own`` is the row's own stages, ``whole`` adds every run that these take from, such as the teacher's training.
    ``spent`` is what the row's own stages really took, the mean of our seeds: no gradient that nobody needs, and a
    teacher whose logits were kept as what it cost; None where no record says it.
    """

    own: int | None
    whole: int | None
    spent: float | None = None


@dataclass(frozen=True)
class ReportRow:
    """One row. A row that the paper itself leaves out is not ``available``; ``marks`` gives a column's footnotes.

    ``holm`` is the p-value of its verdict after Holm's correction for all cells of the table that have one.
    One that ``waits``, and says for what, has published numbers alone. ``train`` is of the training images, in a table
    with that column.
    """

    name: str
    label: str
    group: str
    available: bool
    unscored: str | None = None
    waits: str | None = None
    published: Cell | None = None
    measured: tuple[Measured, ...] = ()
    margin: float | None = None
    verdict: Verdict | None = None
    holm: float | None = None
    costs: Mapping[CostColumn, CostCell] = field(default_factory=dict)
    ensemble: Ensemble | None = None
    fidelity: Fidelity | None = None
    train: Measured | None = None
    smaller: tuple[Measured, ...] = ()
    smaller_ensemble: Ensemble | None = None
    smaller_fidelity: Fidelity | None = None
    smaller_train: Measured | None = None
    training: Training = Training(None, None)
    marks: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Claimed:
    """A sentence of the paper, the rows that it compares, and what our runs say of it."""

    text: str
    better: str
    worse: str
    verdict: Verdict


@dataclass(frozen=True)
class Provenance:
    """What the paper-profile columns were made from: ``records`` of the ``planned`` runs, sources included.

    ``precisions`` are those reached, ``libraries`` what PyTorch and the others were, with their versions.
    """

    planned: int
    records: int
    commits: tuple[str, ...]
    devices: tuple[str, ...]
    precisions: tuple[str, ...]
    libraries: tuple[str, ...]
    first: str | None
    last: str | None


@dataclass(frozen=True)
class Report:
    """A table of a paper beside its reproduction.

    Its fields are the keys of the JSON format. ``smaller`` names the reduced profile shown apart, if any, and
    ``smaller_claims`` are what its runs say of the claims: no result.
    """

    table: str
    title: str
    paper: str
    metric: Metric
    grouped_by: str
    margin: float
    columns: tuple[str, ...]
    smaller: Profile | None
    lines: tuple[ReportRow, ...]
    claims: tuple[Claimed, ...]
    smaller_claims: tuple[Claimed, ...]
    footnotes: tuple[str, ...]
    assumed: tuple[str, ...]
    deviations: tuple[str, ...]
    provenance: Provenance
