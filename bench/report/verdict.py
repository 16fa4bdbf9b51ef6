"""What a comparison with a paper comes to, and why.

Errors and margins are in percentage points; intervals are two-sided Student's t half-widths. The rules follow two
one-sided tests (Schuirmann, 1987) for equivalence and Welch (1947) for two samples of unequal spread.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import inf, sqrt
from statistics import fmean, stdev
from typing import Literal

from bench.recipe import Cell

Measurement = Literal["reproduced", "compatible", "not reproduced", "undecided", "no runs yet"]
Word = Measurement | Literal["holds", "contradicted", "agrees", "inconsistent", "waits"]
NORMAL_95 = 1.96  # Student's t at 95 % with infinitely many seeds
COST_TOLERANCE = 0.005
SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class Verdict:
    """A word, why it was given, and the numbers behind it.

    ``d`` is our mean minus the published value (of a claim: the worse row's mean minus the better row's), ``se`` its
    standard error with ``dof`` degrees of freedom, ``h90`` and ``h95`` the half-widths of its intervals, ``n`` our
    runs (a claim's pairs), ``p`` a claim's one-sided probability.
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


def judge(ours: Sequence[float], published: Cell, margin: float) -> Verdict:
    """Compare errors of our runs (%) with a published one; ``margin`` is the difference that does not matter.

    A published mean of two or more runs with a known spread is compared by Welch's test. Any other published value
    is taken as one draw of our own spread: its standard error is s * sqrt(1 + 1/n).
    """
    n = len(ours)
    if n == 0:
        return Verdict("no runs yet", "")
    # Subtracting first makes the verdict the same wherever the zero of the scale lies.
    differences = [x - published.value for x in ours]
    d = fmean(differences)
    if n == 1:
        return Verdict("undecided", "too few seeds: one run has no spread", n, d)
    se, dof, limit = _standard_error(stdev(differences), n, published)
    h90, h95 = se * _quantile(dof, 0.95), se * _quantile(dof, 0.975)
    word, reason = _decide(abs(d), h90, h95, margin, limit)
    return Verdict(word, reason, n, d, se, dof, h90, h95)


def _standard_error(s: float, n: int, published: Cell) -> tuple[float, float, float]:
    """Standard error of the difference, its degrees of freedom, and what more seeds would bring the error down to."""
    theirs = published.n if isinstance(published.n, int) else 0
    if theirs < 2 or published.spread is None or published.meaning not in ("sd", "se"):
        return s * sqrt(1 + 1 / n), n - 1, s
    published_se = published.spread / sqrt(theirs) if published.meaning == "sd" else published.spread
    variance, published_variance = s**2 / n, published_se**2
    total = variance + published_variance
    if total == 0:
        return 0.0, n - 1, 0.0
    dof = total**2 / (variance**2 / (n - 1) + published_variance**2 / (theirs - 1))
    return sqrt(total), dof, published_se


def _decide(d: float, h90: float, h95: float, margin: float, limit: float) -> tuple[Measurement, str]:
    if d + h90 <= margin:
        return "reproduced", f"|d| + h90 = {d + h90:.2f}, within the margin of {margin:g}"
    if d <= h95 and h95 <= 2 * margin:
        return "compatible", f"|d| = {d:.2f}, within h95 = {h95:.2f}"
    if d > h95 and d > margin:
        return "not reproduced", f"|d| = {d:.2f}, beyond h95 = {h95:.2f} and the margin of {margin:g}"
    if d > h95:
        return "undecided", "real but inside the margin"
    if NORMAL_95 * limit > 2 * margin:
        return "undecided", "spread too wide"
    return "undecided", "too few seeds"


def combine(verdicts: Mapping[str, Verdict]) -> Verdict:
    """One verdict from those of several protocols, by name: a word stands only where all say it."""
    first, *others = verdicts.values()
    if not others or all(other == first for other in others):
        return first
    agreed = all(other.word == first.word for other in others)
    reason = "; ".join(f"{name} epoch: {v.reason if agreed else v.word}" for name, v in verdicts.items())
    return Verdict(first.word if agreed else "undecided", reason, min(v.n for v in verdicts.values()))


def claim(better: Mapping[int, float], worse: Mapping[int, float]) -> Verdict:
    """Whether a row beats another: errors (%) by seed, paired, one-sided t-test on ``worse - better``."""
    seeds = sorted(better.keys() & worse.keys())
    if not seeds:
        return Verdict("no runs yet", "no seed has a run in both rows")
    gains = [worse[seed] - better[seed] for seed in seeds]
    n, d = len(gains), fmean(gains)
    if n == 1:
        return Verdict("undecided", f"n = 1, difference {d:.2f}: one pair has no spread", n, d)
    se = stdev(gains) / sqrt(n)
    p = _tail(d, se, n - 1)
    word: Word = "holds" if p < SIGNIFICANCE else "contradicted" if p > 1 - SIGNIFICANCE else "undecided"
    shown = f"p = {p:.2g}" if p >= 0.0001 else "p < 0.0001"
    return Verdict(word, f"n = {n}, mean difference {d:.2f}, {shown}", n, d, se, n - 1, p=p)


def alike(better: float | None, worse: float | None, margin: float) -> Verdict:
    """Whether the mean accuracies or errors (%) of two rows' ensembles are within the margin of each other.

    Ensembles of the same seeds share networks, so there is no test: the means are compared as they are.
    """
    if better is None or worse is None:
        return Verdict("no runs yet", "the ensembles of both rows are needed")
    d = better - worse
    return Verdict("holds" if abs(d) <= margin else "contradicted", f"difference of the means {d:+.2f}", d=d)


def _tail(d: float, se: float, dof: int) -> float:
    """Probability of a mean of ``d`` or more where the true one is 0."""
    from scipy.special import stdtr

    t = d / se if se else inf * d if d else 0.0
    return float(stdtr(dof, -t))


def _quantile(dof: float, p: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(dof, p))


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
    decimals = max(0, -int(Decimal(repr(published)).as_tuple().exponent))
    if abs(d) <= COST_TOLERANCE * abs(published) or round(derived, decimals) == published:
        return Verdict("agrees", f"derived {derived:.4g}, published {published:g}", d=d)
    reason = f"by the table's own definition it is {derived:.4g}, {d / published:+.1%} from the published {published:g}"
    return Verdict("inconsistent", reason, d=d)
