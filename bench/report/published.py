"""Published errors and accuracies in their places, and the noise that they have, printed or at least."""

from dataclasses import dataclass, field
from math import sqrt

from bench.metrics import ERROR
from bench.networks.base import Network
from bench.recipe import Cell, Library, Row, Stage, Table
from bench.registry import SETS
from bench.report.verdict import NORMAL_95

# A run's standard deviation over seeds, at least: so many times that of as many coins as there are test images. Seeds
# agree on the easy images, so theirs may be smaller than the coins'; in our own cells it is 0.46 to 10 times that.
LEAST_SPREAD = 0.5


@dataclass(frozen=True)
class Place:
    """A published error or accuracy, and the row that it stands in."""

    library: Library = field(repr=False)
    table: Table = field(repr=False)
    row: Row = field(repr=False)
    cell: Cell

    @property
    def name(self) -> str:
        """As a finding names it."""
        return f"{self.table.name}/{self.row.name}.{self.table.metric.name}"

    @property
    def error(self) -> float:
        """In %."""
        return self.table.metric.shown(self.cell.value)

    @property
    def stage(self) -> Stage | None:
        """What the number is of; None of a row that waits, and so of the next three."""
        return self.row.stages[-1] if self.row.stages else None

    @property
    def network(self) -> Network | None:
        """The network that is deployed."""
        return self.stage.networks[0] if self.stage else None

    @property
    def set(self) -> str | None:
        """The name of the data set."""
        return self.stage.data.set if self.stage else None

    @property
    def images(self) -> int | None:
        """How many there are to test on."""
        if self.stage is None:
            return None
        info = SETS[self.stage.data.set]
        return self.stage.data.sizes(info.train, info.test, info.classes)[1]

    @property
    def alone(self) -> bool:
        """Whether one network was trained, from the labels of real images."""
        return self.stage is not None and not self.stage.edges and len(self.stage.networks) == 1

    @property
    def least_spread(self) -> float | None:
        """The smallest standard deviation of one run over seeds, in points, that its test set allows.

        The images on which seeds disagree are like coins, so the share of right ones spreads by a part of
        √(p(1 − p)/images): by :data:`LEAST_SPREAD` of it.
        """
        share = self.error / 100
        return LEAST_SPREAD * 100 * sqrt(share * (1 - share) / self.images) if self.images else None

    @property
    def spread(self) -> tuple[float, int] | None:
        """The printed standard deviation of one run, and of how many; None where that is not known."""
        cell = self.cell
        if cell.spread is None or not isinstance(cell.n, int) or cell.n < 2 or cell.meaning == "unknown":
            return None
        if cell.meaning == "half-range":
            # The range of two runs is √2 times their standard deviation.
            return (cell.spread * sqrt(2), 2) if cell.n == 2 else None
        return cell.spread * (sqrt(cell.n) if cell.meaning == "se" else 1), cell.n


def places(library: Library, table: Table) -> list[Place]:
    """The published errors or accuracies of a table; none of one that is about another metric."""
    if table.metric.recorded != ERROR:
        return []
    printed = ((row, row.published.get(table.metric.name)) for row in table.rows.values())
    return [Place(library, table, row, cell) for row, cell in printed if cell is not None]


def noise(one: Place, other: Place) -> float | None:
    """Half the 95 % interval of the difference of two published numbers, in points; None where a test set is not known.

    Welch's where both spreads are known. A number of which that is not known counts as one run with the least spread,
    or with the printed one if that is larger.
    """
    from scipy.special import stdtrit

    if one.spread and other.spread:
        shares = [(spread**2 / n, n) for spread, n in (one.spread, other.spread)]
        variance = sum(share for share, _ in shares)
        dof = variance**2 / sum(share**2 / (n - 1) for share, n in shares) if variance else 1.0
        return float(stdtrit(dof, 0.975)) * sqrt(variance)
    variances = [_variance(place) for place in (one, other)]
    known = [variance for variance in variances if variance is not None]
    return NORMAL_95 * sqrt(sum(known)) if len(known) == 2 else None


def _variance(place: Place) -> float | None:
    """Of a published mean."""
    if place.spread:
        spread, runs = place.spread
        return spread**2 / runs
    return None if place.least_spread is None else max(place.least_spread, place.cell.spread or 0.0) ** 2
