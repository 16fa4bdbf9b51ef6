"""A store of hand-written records, and the table that they make."""

from pathlib import Path
from typing import Any

from bench.cost import Cost
from bench.graph import Run, plan
from bench.networks.base import Network
from bench.profiles import Profile
from bench.recipe import Library, load
from bench.record import Record, Result
from bench.report.model import Report, ReportRow
from bench.report.table import build
from bench.store import Store
from tests import handmade

GOLDEN = Path(__file__).parent / "golden"
LIBRARY = load(GOLDEN / "recipes")


class FakeCosts:
    """Depth 8: 25 million multiply-adds, 0.08 million parameters; depth 14: twice that; others were never counted."""

    def get(self, network: Network, classes: int, channels: int, size: int) -> Cost | None:
        assert (network.name, classes, channels, size) == ("resnet", 100, 3, 32)
        return {8: Cost(25_000_000, 80_000), 14: Cost(50_000_000, 160_000)}.get(network.params["depth"])


def record(run: Run, *errors: tuple[float | None, float], **said: Any) -> Record:
    """A record of a run; ``errors`` are (last, best) of each of its networks."""
    usual: dict[str, Any] = {
        "results": [Result(last, best, 9) for last, best in errors],
        "curve": [],
        "precision": "bfloat16",
        "commit": "0123456789abcdef",
        "taken": {edge: {"record": source.id, "artifact": "digest"} for edge, source in run.sources.items()},
        "artifact": "digest",
        "finished": f"2031-01-0{run.seed}T00:00:00+00:00",
    }
    return handmade.record(run, **{**usual, **said})


class Results:
    """A store of hand-written records, and the table that they make."""

    def __init__(self, folder: Path, library: Library = LIBRARY, name: str = "small") -> None:
        self.store, self.library, self.name = Store(folder), library, name

    def add(
        self, row: str, *errors: tuple[float | None, float], seed: int = 1, profile: Profile = "paper", **said: Any
    ) -> None:
        run = plan(self.library, [self.name], profile).rows[self.name, row][seed]
        self.store.add(record(run, *errors, **said))

    def report(self, smaller: Profile | None = None) -> Report:
        return build(self.library, self.name, self.store, FakeCosts(), smaller=smaller)

    def line(self, row: str) -> ReportRow:
        return line_of(self.report(), row)


def line_of(report: Report, row: str) -> ReportRow:
    return next(line for line in report.lines if line.name == row)


def notes_of(report: Report, row: str, column: str) -> list[str]:
    return [report.footnotes[mark - 1] for mark in line_of(report, row).marks.get(column, ())]
