"""Whether two rows are alike: two one-sided tests (Schuirmann, 1987) on errors paired by seed."""

from collections.abc import Mapping
from math import sqrt
from statistics import fmean, stdev

from bench.report.verdict import Verdict, Word


def equivalent(one: Mapping[int, float], other: Mapping[int, float], margin: float) -> Verdict:
    """Whether the errors (%) of two rows, by seed, are within ``margin`` of each other in the mean.

    It holds where the 90 % interval of the mean difference lies within the margin, and is contradicted where it lies
    outside.
    """
    from scipy.special import stdtrit

    seeds = sorted(one.keys() & other.keys())
    if not seeds:
        return Verdict("no runs yet", "no seed has a run in both rows")
    differences = [other[seed] - one[seed] for seed in seeds]
    n, d = len(seeds), fmean(differences)
    if n == 1:
        return Verdict("undecided", f"n = 1, difference {d:.2f}: one pair has no spread", n, d)
    se = stdev(differences) / sqrt(n)
    h90 = se * float(stdtrit(n - 1, 0.95))
    word: Word = "holds" if abs(d) + h90 <= margin else "contradicted" if abs(d) - h90 > margin else "undecided"
    return Verdict(word, f"n = {n}, mean difference {d:.2f} ± {h90:.2f}, margin {margin:g}", n, d, se, n - 1, h90)
