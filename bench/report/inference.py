"""The arithmetic of comparisons: spreads, intervals, probabilities. It knows no words and no recipes.

Intervals are two-sided Student's t half-widths. Sources: Welch (1947) for two samples of unequal spread, Satterthwaite
(1946) for the degrees of freedom of a sum of mean squares, Thomas and Hultquist (1978) for the mean of unequal groups,
Holm (1979) for many tests.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf, sqrt
from statistics import fmean

from bench.recipe import Cell

POWER = 0.8
MOST_SEEDS = 1000


@dataclass(frozen=True)
class Nested:
    """Runs in groups that share a source: a run is the mean, plus its source's deviation, plus its own.

    ``mean`` is that of the source means, ``between`` their variance, ``within`` the pooled variance of runs about the
    mean of their source, ``share`` the mean of 1 / (runs of a source). With one run a source this is the ordinary
    sample.
    """

    n: int
    sources: int
    mean: float
    between: float
    within: float
    share: float

    def spread_of_mean(self, runs: int) -> "list[tuple[float, int]]":
        """The variance of the mean of some runs of one more source, as mean squares with their degrees of freedom.

        It never falls below that of the means seen: where ours are of fewer runs, the estimate is too large.
        """
        return [
            (self.between, self.sources - 1),
            (max(0.0, 1 / runs - self.share) * self.within, self.n - self.sources),
        ]

    @property
    def sd(self) -> float:
        """The standard deviation of one run of one source."""
        return sqrt(sum(square for square, _ in self.spread_of_mean(1)))


def nested(groups: Iterable[Sequence[float]]) -> Nested:
    """The summary of groups of one run or more; of a single run there is no variance.

    Where there is but one group, what its source adds cannot be seen: its runs stand each for itself, and what follows
    from them is conditional on that source.
    """
    own = [[*group] for group in groups]
    if len(own) == 1:
        own = [[x] for x in own[0]]
    n, means = sum(map(len, own)), [fmean(group) for group in own]
    return Nested(
        n=n,
        sources=len(own),
        mean=fmean(means),
        between=_squares(means) / (len(own) - 1) if len(own) > 1 else 0.0,
        within=sum(map(_squares, own)) / (n - len(own)) if n > len(own) else 0.0,
        share=fmean(1 / len(group) for group in own),
    )


def _squares(values: Sequence[float]) -> float:
    """The sum of squares about the mean; exactly 0 where all are equal."""
    shifted = [x - values[0] for x in values]
    mean = fmean(shifted)
    return sum((x - mean) ** 2 for x in shifted)


@dataclass(frozen=True)
class StandardError:
    """That of a difference, its degrees of freedom, and what more seeds would bring the error down to."""

    se: float
    dof: float
    limit: float = 0.0

    def half_width(self, confidence: float) -> float:
        """Of the two-sided interval."""
        return self.se * quantile(self.dof, (1 + confidence) / 2)

    def tail(self, d: float) -> float:
        """Probability of a mean of ``d`` or more where the true one is 0."""
        from scipy.special import stdtr

        t = d / self.se if self.se else inf * d if d else 0.0
        return float(stdtr(self.dof, -t))

    @property
    def detectable(self) -> float:
        """The smallest true difference that would be seen, beyond the 95 % interval, with a probability of 80 %."""
        from scipy.special import nctdtrinc

        return self.se * float(nctdtrinc(self.dof, 1 - POWER, quantile(self.dof, 0.975)))


def error_of_mean(ours: Nested) -> StandardError:
    """Of a mean beside a number that is known."""
    return StandardError(sqrt(ours.between / ours.sources), ours.sources - 1)


def error_of_difference(ours: Nested, published: Cell, *, together: bool) -> StandardError:
    """Of our mean minus the published value.

    A published mean of two or more runs with a known spread is compared by Welch's test. Any other is one draw of our
    own spread. Where the published runs share a source (``together``), their spread says nothing of the source's: their
    mean is one draw of our spread of such means.
    """
    theirs = published.n if isinstance(published.n, int) else 1
    mean, dof = ours.between / ours.sources, ours.sources - 1
    if theirs < 2 or together or published.spread is None or published.meaning not in ("sd", "se"):
        draw = ours.spread_of_mean(theirs if together else 1)
        return _sum([(draw[0][0] + mean, dof), *draw[1:]], limit=sqrt(sum(square for square, _ in draw)))
    se = published.spread / sqrt(theirs) if published.meaning == "sd" else published.spread
    return _sum([(mean, dof), (se**2, theirs - 1)], limit=se)


def _sum(squares: Sequence[tuple[float, int]], limit: float) -> StandardError:
    """The standard error whose variance is the sum of independent mean squares (Satterthwaite)."""
    varying = [(square, dof) for square, dof in squares if square] or squares[:1]
    total = sum(square for square, _ in varying)
    if len(varying) == 1:
        return StandardError(sqrt(total), varying[0][1], limit)
    return StandardError(sqrt(total), total**2 / sum(square**2 / dof for square, dof in varying), limit)


def quantile(dof: float, p: float) -> float:
    """Of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(dof, p))


def holm(probabilities: Sequence[float]) -> list[float]:
    """The p-values of many tests, corrected so that any false alarm at all has at most the level's probability."""
    ordered = sorted(range(len(probabilities)), key=lambda i: probabilities[i])
    corrected, largest = [0.0] * len(probabilities), 0.0
    for rank, i in enumerate(ordered):
        largest = max(largest, min(1.0, (len(ordered) - rank) * probabilities[i]))
        corrected[i] = largest
    return corrected


def seeds_needed(sd: float, published: Cell, margin: float, *, together: bool = False) -> int | None:
    """The fewest seeds, each with a source of its own, at which a verdict is never 'too few seeds'.

    That is the 95 % interval no wider than twice the margin; None where no number of seeds can bring it there.
    """
    for n in range(2, MOST_SEEDS + 1):
        ours = Nested(n, n, published.value, sd**2, 0.0, 1.0)
        if error_of_difference(ours, published, together=together).half_width(0.95) <= 2 * margin:
            return n
    return None
