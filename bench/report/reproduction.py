"""A run that was trained again, beside its first record: the same bits, within noise, or not reproduced.

The same bits: the artifact has the digest that the first record names, and the errors are the same. Within noise: each
network's last error differs by no more than two runs of this recipe do. That is the half-width of the 95 % interval of
a difference of two runs, t · s · √2, where s is the sample standard deviation over the recipe's seeds, if three or more
are recorded; else that of two draws of the test set, 1.96 · √(2 p (1 − p) / N), at the first error p of N images.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev
from typing import Literal

from bench.record import Record

Word = Literal["reproduced bit for bit", "within noise", "not reproduced"]
NORMAL_95 = 1.96
FEWEST_SEEDS = 3


@dataclass(frozen=True)
class Reproduction:
    """What a comparison comes to, and the numbers behind it."""

    word: Word
    reason: str


def compare(first: Record, again: Record, seeds: Sequence[Record], tested: int) -> Reproduction:
    """A record beside the first one of the same run.

    Args:
        first: of the run.
        again: of the run too.
        seeds: first records of all seeds of its recipe (:func:`same_recipe`).
        tested: number of images that its errors are counted on.
    """
    if first.status != again.status:
        return Reproduction("not reproduced", f"{again.status}, the first was {first.status}")
    if first.artifact == again.artifact and _errors(first) == _errors(again) and first.results == again.results:
        shown = f", artifact {first.artifact[:16]}" if first.artifact else ""
        return Reproduction("reproduced bit for bit", f"{_shown(again)}{shown}")
    if first.status == "diverged":
        return Reproduction("within noise", f"diverged at epoch {len(again.curve)}, first {len(first.curve)}")
    old, new = _errors(first), _errors(again)
    limits = [_limit(k, old[k], seeds, tested) for k in range(len(old))]
    # The network that is the furthest off tells.
    k = max(range(len(old)), key=lambda k: abs(new[k] - old[k]) - limits[k][0])
    difference, (limit, rule) = abs(new[k] - old[k]), limits[k]
    word: Word = "within noise" if difference <= limit else "not reproduced"
    sign = "≤" if difference <= limit else ">"
    numbers = f"{_shown(again)}, first {_shown(first)}; difference {difference:.2f} {sign} {limit:.2f}, {rule}"
    changes = "; ".join(_changes(first, again))
    return Reproduction(word, f"{numbers}{changes and f'; other than the first: {changes}'}")


def same_recipe(record: Record, records: Iterable[Record]) -> list[Record]:
    """The first records of the recipe of ``record``, one a seed; it is among them if it is among ``records``."""

    def asked(one: Record) -> tuple[object, ...]:
        return one.name, one.profile, one.recipe, one.versions

    return [r for r in records if r.replica == 1 and r.status == "done" and asked(r) == asked(record)]


def _errors(record: Record) -> list[float]:
    """The last error of each network; of synthesised images, how many their teacher takes for another class."""
    if record.recipe["kind"] == "synthesise":
        return [fmean(entry["networks"][0]["train_error"] for entry in record.curve)]
    return [result.last_error for result in record.results if result.last_error is not None]


def _limit(k: int, error: float, seeds: Sequence[Record], tested: int) -> tuple[float, str]:
    """By how much network k may differ, and why."""
    n = len(seeds)
    if n >= FEWEST_SEEDS:
        from scipy.stats import t

        spread = stdev(_errors(seed)[k] for seed in seeds)
        return float(t.ppf(0.975, n - 1)) * spread * sqrt(2), f"as two of its {n} seeds may (95 %)"
    share = min(max(error / 100, 1 / tested), 1 - 1 / tested)  # no error at all is not known to the last image
    return 100 * NORMAL_95 * sqrt(2 * share * (1 - share) / tested), f"as two draws of {tested} test images may (95 %)"


def _shown(record: Record) -> str:
    return f"error {'/'.join(f'{error:.2f}' for error in _errors(record))} %" if _errors(record) else record.status


def _changes(first: Record, again: Record) -> Iterator[str]:
    """What may be why the bits are not the same."""
    for name in ("id", "device", "precision"):
        old, new = getattr(first, name), getattr(again, name)
        if old != new:
            yield f"versions {_raised(first, again)}" if name == "id" else f"{name} {new} (first {old})"
    for library in sorted(first.libraries.keys() & again.libraries.keys()):
        if first.libraries[library] != again.libraries[library]:
            yield f"{library} {again.libraries[library]} (first {first.libraries[library]})"
    for edge in sorted(first.taken.keys() & again.taken.keys()):
        if first.taken[edge]["artifact"] != again.taken[edge]["artifact"]:
            yield f"its {edge}"


def _raised(first: Record, again: Record) -> str:
    changed = (name for name, version in again.versions.items() if first.versions.get(name) != version)
    return f"of {', '.join(sorted(changed)) or 'what it takes from'}"
