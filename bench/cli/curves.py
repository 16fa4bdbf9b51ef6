"""``kdbench curves``: how runs went, epoch by epoch, as their records tell it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tabulate import tabulate

from bench.cli.place import Place, chosen
from bench.errors import UsageError
from bench.graph import Run
from bench.profiles import Profile
from bench.recipe.model import Quality
from bench.report.curves import Curve, loss_curves, quality_curves
from bench.report.figures import learning_curves
from bench.store import Record, Store


def curves(
    runs: Sequence[str], losses: Sequence[str], profile: Profile, data: Path | None, figure: Path | None
) -> None:
    """Print the first and the last epoch of each curve; draw the curves, losses to the left.

    Args:
        runs: each ``TABLE/ROW[.STAGE]#SEED``: those whose test error or accuracy is shown, as the first one's table
            has it.
        losses: those whose loss terms are shown.
        profile: of all of them.
        data: the data folder, which tells the smoke profile whether it took a stand-in.
        figure: where to draw them, if anywhere.

    Raises:
        UsageError: no run is named, there is no such run, or it has no record.
    """
    if not runs and not losses:
        raise UsageError("name a run, as in efficiency/mnist-teacher#1")
    place = Place.find(data)
    library = place.library()
    tables = [library.table(name.partition("/")[0]) for name in (*runs, *losses)]
    store = place.store()
    found = {name: _recorded(store, chosen(library, name, profile, place.absent)) for name in (*losses, *runs)}
    panels = _panels(found, runs, losses, tables[0].metric)
    rows = [
        [quantity, f"{curve.name} #{curve.seed}", curve.values[0], curve.values[-1], curve.steps[-1]]
        for quantity, shown in panels.items()
        for curve in shown
    ]
    print(tabulate(rows, ["", "run", "first epoch", "last epoch", "steps"], "simple", floatfmt=".4g", intfmt=","))
    if figure is not None:
        told = f"{profile} profile" + ("" if profile == "paper" else ": not a result of the paper")
        learning_curves(panels, "\n".join([*dict.fromkeys(table.title for table in tables), told]), figure)
        print(f"figure drawn in {figure}")


def _panels(
    found: Mapping[str, tuple[Run, Record]], runs: Sequence[str], losses: Sequence[str], metric: Quality
) -> dict[str, list[Curve]]:
    """What is shown, by quantity; losses come first, as a first stage does."""
    panels = {
        "Loss, mean over the epoch": [curve for name in losses for curve in loss_curves(*found[name])],
        f"Test {metric} (%)": [curve for name in runs for curve in quality_curves(*found[name], metric)],
    }
    return {quantity: drawn for quantity, drawn in panels.items() if drawn}


def _recorded(store: Store, run: Run) -> tuple[Run, Record]:
    record = store.current(run)
    if record is None:
        command = f"kdbench run {run.name.partition('/')[0]} --profile {run.profile}"
        raise UsageError(f"{run.name} #{run.seed} has no record; `{command}` trains it")
    return run, record
