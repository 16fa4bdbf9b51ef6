"""Published numbers held against themselves and each other: what cannot be as it is printed, or is not likely to be.

Only recipes are read: nothing is trained, and no record is asked. A finding says where to look, not who is wrong.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from statistics import fmean, stdev

from bench.recipe import Library, Table
from bench.report.published import Place, noise, places
from bench.report.verdict import COST_TOLERANCE

UNLIKELY = 0.01
# A paper that prints a spread and no number of runs had three, mostly.
USUAL_RUNS = 3


@dataclass(frozen=True)
class Finding:
    """What one rule says of one published number.

    Args:
        rule: its name, a key of :data:`RULES`.
        cell: ``table/row.metric``.
        numbers: those that it rests on, as printed or as computed from them, to four decimals.
        sentence: what is odd.
    """

    rule: str
    cell: str
    numbers: dict[str, float]
    sentence: str


# The cell that a rule finds odd, the numbers that this rests on, and a sentence.
Odd = Iterator[tuple[str, dict[str, float], str]]


def audit(library: Library, table: str) -> list[Finding]:
    """What the rules find in a table, rule by rule; the other tables are what it is compared with.

    Raises:
        UsageError: no table has this name.
    """
    chosen = library.table(table)
    return [
        Finding(name, cell, {key: round(number, 4) for key, number in numbers.items()}, sentence)
        for name, rule in RULES.items()
        for cell, numbers, sentence in rule(library, chosen)
    ]


def _cost_floor(library: Library, table: Table) -> Odd:
    """A training step runs the deployed network, so that TrCost is TeCost at least."""
    for row in table.rows.values():
        train, test = row.published.get("trcost"), row.published.get("tecost")
        if train and test and train.value < test.value * (1 - COST_TOLERANCE):
            sentence = "A training step runs the network that is deployed, so it cannot cost less than testing it."
            yield f"{table.name}/{row.name}.trcost", {"trcost": train.value, "tecost": test.value}, sentence


def _average(library: Library, table: Table) -> Odd:
    """A mean and its spread follow from the single networks, to a unit of the last digit: rounded or cut off."""
    for place in places(library, table):
        cell = place.cell
        computed = {}
        if len(cell.nets) > 1:
            half_range = (max(cell.nets) - min(cell.nets)) / 2
            computed = {"mean": fmean(cell.nets), "sd": stdev(cell.nets), "half-range": half_range}
        for noun, printed in (("mean", cell.value), (cell.meaning, cell.spread)):
            ours = computed.get(noun)
            if ours is not None and printed is not None and abs(ours - printed) >= _unit(printed) * (1 - 1e-9):
                sentence = f"The {noun} of the {len(cell.nets)} single networks is {ours:.4g}, not {printed:g}."
                yield place.name, {"printed": printed, "computed": ours}, sentence


def _small_spread(library: Library, table: Table) -> Odd:
    """A sample of so many runs has so small a spread in less than one case of a hundred (χ²).

    The true spread is taken to be :attr:`Place.least_spread`, the least that the test set allows.
    """
    from scipy.special import chdtr

    for place in places(library, table):
        least, cell = place.least_spread, place.cell
        guessed = (cell.spread, USUAL_RUNS) if cell.spread and cell.meaning == "unknown" else None
        if least is None or (printed := place.spread or guessed) is None:
            continue
        spread, runs = printed
        chance = float(chdtr(runs - 1, (runs - 1) * (spread / least) ** 2))
        if chance < UNLIKELY:
            sentence = (
                f"Runs on {place.images:,} test images spread by {least:.2f} points at least; that {runs} of them"
                f" spread by {spread:.3g} or less has a chance of {chance:.2g}."
            )
            yield place.name, {"spread": spread, "runs": runs, "least": least, "chance": chance}, sentence


def _granularity(library: Library, table: Table) -> Odd:
    """The share of right images is a whole number of them; a mean over n runs is a multiple of 1/(images · n)."""
    for place in places(library, table):
        cell = place.cell
        runs = cell.n if isinstance(cell.n, int) else 1 if cell.spread is None else None
        for value, of in ((cell.value, runs), *((net, 1) for net in cell.nets)):
            if place.images is None or of is None:
                continue
            step = 100 / (place.images * of)
            nearest = round(value / step) * step
            if abs(nearest - value) > _unit(value) / 2 * (1 + 1e-9):
                over = f" over {of} runs" if of > 1 else ""
                sentence = (
                    f"No number of {place.images:,} test images{over} gives {value:g}; {nearest:.6g} is the nearest."
                )
                yield place.name, {"printed": value, "nearest": nearest, "images": place.images, "runs": of}, sentence


def _equal_elsewhere(library: Library, table: Table) -> Odd:
    """Two papers do not measure the same value and spread; nor, without a spread, the same value of one network.

    A paper that prints the single runs behind its number has measured it.
    """
    for place in places(library, table):
        for other in _elsewhere(place) if not place.cell.nets else ():
            equal = round(place.error - other.error, 6) == 0 and place.cell.spread == other.cell.spread
            if equal and (place.cell.spread is not None or place.network == other.network):
                behind = f", with the runs behind it ({_listed(other.cell.nets)})" if other.cell.nets else ""
                sentence = (
                    f"Another paper prints the same number: {other.name}{behind}. One has it from the other, so it is"
                    " of the recipe of the one that trained it."
                )
                spread = {} if place.cell.spread is None else {"spread": place.cell.spread}
                yield place.name, {"printed": place.cell.value, **spread}, sentence


def _gain_in_noise(library: Library, table: Table) -> Odd:
    """A claimed gain is beyond the 95 % interval of the difference of two such numbers."""
    printed = {place.row.name: place for place in places(library, table)}
    for claim in table.claims:
        better, worse = printed.get(claim.better), printed.get(claim.worse)
        if claim.alike or better is None or worse is None:
            continue
        gain, most = worse.error - better.error, noise(better, worse)
        if most is not None and gain < most:
            sentence = (
                f'"{claim.text}": the gain of {gain:.2f} over {worse.row.name} is within {most:.2f}, by which two such'
                " numbers may differ without any."
            )
            numbers = {"better": better.cell.value, "worse": worse.cell.value, "gain": gain, "noise": most}
            yield better.name, numbers, sentence


def _beyond_stronger(library: Library, table: Table) -> Odd:
    """A network has no less than half the error of the one that teaches it, or of itself in another paper."""
    for place in places(library, table):
        for other in _stronger(place):
            if place.error < other.error / 2:
                who = "the same network" if other.network == place.network else "the network that teaches it"
                sentence = (
                    f"An error of {place.error:.2f} is less than half of the {other.error:.2f} that {who} has on the"
                    f" same set ({other.name})."
                )
                numbers = {"printed": place.cell.value, "error": place.error, "other error": other.error}
                yield place.name, numbers, sentence


RULES: dict[str, Callable[[Library, Table], Odd]] = {
    "cost-floor": _cost_floor,
    "average": _average,
    "small-spread": _small_spread,
    "granularity": _granularity,
    "equal-elsewhere": _equal_elsewhere,
    "gain-in-noise": _gain_in_noise,
    "beyond-stronger": _beyond_stronger,
}


def _elsewhere(place: Place) -> Iterator[Place]:
    """What other papers print of the same set."""
    for table in place.library.tables.values():
        if table.paper != place.table.paper and place.stage is not None:
            yield from (other for other in places(place.library, table) if other.set == place.set)


def _stronger(place: Place) -> Iterator[Place]:
    """What is printed, on the same set, of a network that teaches this one here, or of this one in another paper."""
    last = [row.stages[-1] for row in place.table.rows.values() if row.stages and place.stage]
    taught = [stage for stage in last if (stage.networks[0], stage.data.set) == (place.network, place.set)]
    for table, row in sorted({(ref.table, ref.row) for stage in taught for ref in stage.teachers}):
        yield from (o for o in places(place.library, place.library.tables[table]) if o.row.name == row)
    yield from (o for o in _elsewhere(place) if o.network == place.network and o.alone)


def _unit(value: float) -> float:
    """A unit of the last digit that is printed; zeros at the end are not known."""
    return float(Decimal(1).scaleb(min(0, int(Decimal(repr(value)).as_tuple().exponent))))


def _listed(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)
