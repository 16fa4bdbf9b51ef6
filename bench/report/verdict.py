"""What a comparison with a paper comes to, and why.

Errors and margins are in percentage points; h90 and h95 are the half-widths of a difference's intervals. The rules
follow two one-sided tests (Schuirmann, 1987) for equivalence; the arithmetic is in :mod:`bench.report.inference`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from bench.recipe import Cell
from bench.report.inference import Nested, error_of_difference, error_of_mean, nested

Measurement = Literal["reproduced", "compatible", "not reproduced", "impossible", "undecided", "no runs yet"]
Word = Measurement | Literal["holds", "contradicted", "agrees", "inconsistent", "waits"]
NORMAL_95 = 1.96  # Student's t at 95 % with infinitely many seeds
COST_TOLERANCE = 0.005
SIGNIFICANCE = 0.05
OPEN: tuple[Word, ...] = ("undecided", "no runs yet")


@dataclass(frozen=True)
class Verdict:
    """A word, why it was given, and the numbers behind it.

    ``d`` is our mean minus the published value (of a claim: the worse row's mean minus the better row's), ``se`` its
    standard error with ``dof`` degrees of freedom, ``h90`` and ``h95`` the half-widths of its intervals, ``n`` our
    runs (a claim's pairs), ``p`` the probability of a difference as large where there is none (a claim's is one-sided),
    ``detectable`` the smallest true difference that such runs show with a probability of 80 %. What ``conditions`` say
    belongs to the word, and so does that the recipe was ``assumed``.
    """

    word: Word
    reason: str
    n: int = 0
    d: float | None = None
    se: float | None = None
    dof: float | None = None
    h90: float | None = None
    h95: float | None = None
    p: float | None = None
    detectable: float | None = None
    assumed: bool = False
    conditions: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The word with all that it depends on."""
        return ", ".join([self.word + (" under the assumed recipe" if self.assumed else ""), *self.conditions])

    def given(self, conditions: Iterable[str], *, assumed: bool = False) -> "Verdict":
        """The same under some conditions; what decides nothing needs none."""
        if self.word in OPEN:
            return self
        return replace(self, conditions=tuple(conditions), assumed=assumed and self.word == "not reproduced")


def judge(ours: Sequence[Sequence[float]], published: Cell, margin: float, *, together: bool = False) -> Verdict:
    """Compare our errors (%) with a published one; ``margin`` is the difference that does not matter.

    ``ours`` are in groups that share a source; a verdict on one group is conditional on its source. ``together`` says
    that the published runs share one, as ours of a group do.
    """
    if not ours:
        return Verdict("no runs yet", "")
    # Subtracting first makes the verdict the same wherever the zero of the scale lies.
    sample = nested([[x - published.value for x in group] for group in ours])
    if sample.sources == 1:
        return Verdict("undecided", "too few seeds: one run has no spread", sample.n, sample.mean)
    error = error_of_difference(sample, published, together=together)
    h90, h95, d = error.half_width(0.90), error.half_width(0.95), abs(sample.mean)
    word, reason = _decide(d, h90, h95, margin, error.limit)
    p = min(1.0, 2 * error.tail(d))
    return Verdict(word, reason, sample.n, sample.mean, error.se, error.dof, h90, h95, p, error.detectable)


def _decide(d: float, h90: float, h95: float, margin: float, limit: float) -> tuple[Measurement, str]:
    if d + h90 <= margin:
        return "reproduced", f"|d| + h90 = {d + h90:.2f}, within the margin of {margin:.3g}"
    if d <= h95 and h95 <= 2 * margin:
        return "compatible", f"|d| = {d:.2f}, within h95 = {h95:.2f}"
    if d > h95 and d > margin:
        return "not reproduced", f"|d| = {d:.2f}, beyond h95 = {h95:.2f} and the margin of {margin:.3g}"
    if d > h95:
        return "undecided", "real but inside the margin"
    if NORMAL_95 * limit > 2 * margin:
        return "undecided", "spread too wide"
    return "undecided", "too few seeds"


def combine(verdicts: Mapping[str, Verdict]) -> Verdict:
    """One verdict from those of several protocols, by name: a word stands only where all say it, or a stronger one."""
    first, *others = verdicts.values()
    if not others or all(other == first for other in others):
        return first
    words = {v.word for v in verdicts.values()}
    agreed = len(words) == 1
    word: Word = first.word if agreed else "compatible" if words == {"reproduced", "compatible"} else "undecided"
    known = [v for v in verdicts.values() if v.p is not None and v.detectable is not None]
    combined = Verdict(
        word,
        "; ".join(f"{name} epoch: {v.reason if agreed or v.word in OPEN else v.word}" for name, v in verdicts.items()),
        min(v.n for v in verdicts.values()),
        p=max((v.p for v in known if v.p is not None), default=None),
        detectable=max((v.detectable for v in known if v.detectable is not None), default=None),
    )
    return combined.given(
        dict.fromkeys(condition for v in verdicts.values() for condition in v.conditions),
        assumed=any(v.assumed for v in verdicts.values()),
    )


def claim(
    better: Mapping[int, float], worse: Mapping[int, float], groups: Sequence[Sequence[int]] | None = None
) -> Verdict:
    """Whether a row beats another: errors (%) by seed, paired, one-sided t-test on ``worse - better``.

    ``groups`` are the seeds that share a source; none means that each has its own.
    """
    gains = _gains(better, worse, groups)
    if isinstance(gains, Verdict):
        return gains
    n, d = gains.n, gains.mean
    error = error_of_mean(gains)
    p = error.tail(d)
    word: Word = "holds" if p < SIGNIFICANCE else "contradicted" if p > 1 - SIGNIFICANCE else "undecided"
    sources = "" if gains.sources == n else f" of {gains.sources} sources"
    return Verdict(word, f"n = {n}{sources}, mean difference {d:.2f}, {shown(p)}", n, d, error.se, error.dof, p=p)


def equivalent(
    one: Mapping[int, float],
    other: Mapping[int, float],
    groups: Sequence[Sequence[int]] | None = None,
    *,
    margin: float,
) -> Verdict:
    """Whether the mean errors (%) of two rows, paired by seed, are within ``margin`` of each other.

    It holds where the 90 % interval of the mean difference lies within the margin (two one-sided tests), and is
    contradicted where it lies outside. ``groups`` are as in :func:`claim`.
    """
    gains = _gains(one, other, groups)
    if isinstance(gains, Verdict):
        return gains
    error, d = error_of_mean(gains), gains.mean
    h90 = error.half_width(0.90)
    word: Word = "holds" if abs(d) + h90 <= margin else "contradicted" if abs(d) - h90 > margin else "undecided"
    reason = f"n = {gains.n}, mean difference {d:.2f} ± {h90:.2f}, margin {margin:g}"
    return Verdict(word, reason, gains.n, d, error.se, error.dof, h90)


def _gains(
    better: Mapping[int, float], worse: Mapping[int, float], groups: Sequence[Sequence[int]] | None
) -> Nested | Verdict:
    """How much better each seed is, in groups that share a source; a verdict where there are too few."""
    seeds = sorted(better.keys() & worse.keys())
    if not seeds:
        return Verdict("no runs yet", "no seed has a run in both rows")
    paired = [[seed for seed in group if seed in seeds] for group in groups or [[seed] for seed in seeds]]
    gains = nested([[worse[seed] - better[seed] for seed in group] for group in paired if group])
    if gains.sources == 1:
        return Verdict(
            "undecided", f"n = {gains.n}, difference {gains.mean:.2f}: one pair has no spread", gains.n, gains.mean
        )
    return gains


def shown(p: float) -> str:
    """A probability as text: ``p = 0.012``."""
    return f"p = {p:.2g}" if p >= 0.0001 else "p < 0.0001"


def alike(better: float | None, worse: float | None, margin: float) -> Verdict:
    """Whether the mean accuracies or errors (%) of two rows' ensembles are within the margin of each other.

    Ensembles of the same seeds share networks, so there is no test: the means are compared as they are.
    """
    if better is None or worse is None:
        return Verdict("no runs yet", "the ensembles of both rows are needed")
    d = better - worse
    return Verdict("holds" if abs(d) <= margin else "contradicted", f"difference of the means {d:+.2f}", d=d)


def judge_cost(published: float, derived: float, floor: float | None = None) -> Verdict:
    """Compare a published cost with the one that its definition gives, in the same unit.

    They agree within 0.5 % (5.06 and 5.05), or where ours rounds to the digits printed (0.473 and 0.5 million
    parameters). ``floor`` is the published TeCost below which no TrCost can be.
    """
    d = derived - published
    if floor is not None and published < floor * (1 - COST_TOLERANCE):
        reason = (
            f"published TrCost {published:g} is below TeCost {floor:g}, but a training step runs the deployed network, "
            f"so it cannot cost less; by the table's own definition it is {derived:.2f}"
        )
        return Verdict("inconsistent", reason, d=d)
    # Digits after the point of the shortest text that means the published number.
    decimals = max(0, -int(Decimal(repr(published).removesuffix(".0")).as_tuple().exponent))
    if abs(d) <= COST_TOLERANCE * abs(published) or round(derived, decimals) == published:
        return Verdict("agrees", f"derived {derived:.4g}, published {published:g}", d=d)
    reason = f"by the table's own definition it is {derived:.4g}, {d / published:+.1%} from the published {published:g}"
    return Verdict("inconsistent", reason, d=d)
