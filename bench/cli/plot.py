"""``kdbench plot``: the figures of a whole table; imports no torch."""

from pathlib import Path

from bench.cli.progress import tell_unreadable
from bench.errors import UsageError
from bench.project import Project
from bench.report.forest import forest
from bench.report.plots import cost_plot, forest_plot
from bench.report.table import build
from bench.report.tradeoff import tradeoff


def plot(table: str, path: Path | None) -> None:
    """Draw the forest plot and the cost plot of a table, to two files that are called after ``path``."""
    project = Project.find()
    library, costs = project.library(), project.costs()
    tell_unreadable(library, [table])
    report = build(library, table, project.store(), costs)
    lines = forest(report)
    if not lines:
        raise UsageError(
            f"nothing to draw: no row of {table} has a published value or a run; `kdbench run {table}` trains"
        )
    named = path or project.results / "figures" / f"{table}.svg"
    forest_file, cost_file = (named.with_name(f"{named.stem}-{kind}{named.suffix}") for kind in ("forest", "cost"))
    forest_plot(lines, report.metric, report.title, forest_file)
    print(f"forest plot drawn in {forest_file}")
    points = tradeoff(report, library.table(table), costs)
    if not points:
        print("no cost plot: no row has both a known cost and a number")
        return
    cost_plot(points, report.metric, f"{report.title}\n{report.metric.label} against cost", cost_file)
    print(f"cost plot drawn in {cost_file}")
