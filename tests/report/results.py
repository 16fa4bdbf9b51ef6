"""A store of hand-written records, and the table that they make."""

from collections.abc import Sequence
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

    def report(self, smaller: Profile | None = None, rows: Sequence[str] = ()) -> Report:
        return build(self.library, self.name, self.store, FakeCosts(), smaller=smaller, rows=rows)

    def line(self, row: str) -> ReportRow:
        return line_of(self.report(), row)


def line_of(report: Report, row: str) -> ReportRow:
    return next(line for line in report.lines if line.name == row)


def notes_of(report: Report, row: str, column: str) -> list[str]:
    return [report.footnotes[mark - 1] for mark in line_of(report, row).marks.get(column, ())]


def something_of_everything(results: Results) -> Report:
    """A report with something of everything."""
    for seed, last in enumerate([30.1, 30.0, 30.05], 1):
        results.add("plain", (last, last - 0.2), seed=seed)
    for seed, best in enumerate([25.1, 27.0, 23.5], 1):
        results.add("teacher", (best + 0.3, best), seed=seed)
    for seed, last in enumerate([29.3, 29.2, 29.25], 1):
        digest = {"record": "other", "artifact": "other"} if seed == 3 else {"record": "same", "artifact": "digest"}
        results.add("kd", (last, 28.0 + last / 1000), seed=seed, taken={"teacher": digest})
    results.add("dml", (27.5, 27.0), (26.5, 26.0), precision="float32")
    results.add("dml", (27.7, 27.2), (26.9, 26.4), seed=2, device="Another GPU", commit=None)
    results.add("dml", (None, 60.0), (None, 70.0), seed=3, status="diverged")
    results.add("control", (30.2, 29.9))
    results.add("staged", (27.9, 27.4), id="paper-old", versions={"engine": 0})
    for seed in (1, 2):
        results.add("kd", (97.0 + seed, 96.5), seed=seed, profile="smoke")
    return results.report("smoke")
