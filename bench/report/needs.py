"""How many seeds the verdicts of a table need."""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from bench.recipe import Table
from bench.report.inference import seeds_needed
from bench.report.model import Report, ReportRow


@dataclass(frozen=True)
class Need:
    """The seeds that a row's verdict needs, each with a source of its own; None where none are enough.

    ``sd`` is the spread of the row's own runs where it was ``seen``, else the median of its table's.
    """

    row: str
    seeds: int | None
    done: int
    sd: float
    seen: bool
    margin: float


def needs(report: Report, table: Table) -> Iterator[Need]:
    """What every scored row of a table needs; nothing where no row has two runs yet."""
    spreads = {line.name: sd for line in report.lines if (sd := _spread(line)) is not None}
    for line in report.lines if spreads else ():
        if line.published is None or line.margin is None:
            continue
        sd = spreads.get(line.name, median(spreads.values()))
        together = bool(table.rows[line.name].sources)
        seeds = seeds_needed(sd, line.published, line.margin, together=together)
        done = max(len(measured.values) for measured in line.measured)
        yield Need(line.name, seeds, done, sd, line.name in spreads, line.margin)


def _spread(line: ReportRow) -> float | None:
    """The wider one of the protocols that its verdict has to stand under."""
    return max((measured.sd for measured in line.measured if measured.sd is not None), default=None)
