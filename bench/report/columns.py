"""What stands in each column of a table, in words and numbers; no format yet."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from bench.recipe import Cell
from bench.recipe.model import CostColumn
from bench.report.cells import cost_columns
from bench.report.model import Ensemble, Measured, Report, ReportRow
from bench.report.verdict import shown

UNKNOWN = "?"
ABSENT = "-"
COST_NAMES: dict[CostColumn, str] = {
    "params": "Params (M)",
    "size": "Size (MB)",
    "trcost": "TrCost",
    "tecost": "TeCost",
    "iterations": "Iterations",
}

Show: TypeAlias = Callable[[ReportRow], Sequence[str]]


def columns(report: Report) -> dict[str, tuple[str, Show]]:
    """The columns after group and label, by name: the header, whose lines are apart, and what a row has there."""
    found: dict[str, tuple[str, Show]] = {
        "published": ("Published", lambda line: _published(line.published)),
        "measured": ("Ours", lambda line: _measured(line.measured)),
        "difference": ("Diff.", _differences),
        "verdict": ("Verdict", _verdict),
    }
    for column in report.columns:
        found |= {cost: (COST_NAMES[cost], _cost_column(cost)) for cost in cost_columns([column])}
        if column == "ensemble":
            found[column] = ("Ensemble", lambda line: _ensemble(line.ensemble))
        if column == "train":
            found[column] = ("Train", lambda line: _measured([line.train] if line.train else []))
    if report.smaller:
        found["smaller"] = (f"{report.smaller} profile:\nnot a result", _smaller)
    return found


def _published(cell: Cell | None) -> list[str]:
    """For example ``29.03 ± 0.22`` over ``half-range, n=2, best``."""
    if cell is None:
        return [ABSENT]
    runs = UNKNOWN if cell.n == "unknown" else cell.n
    epoch = f"epoch {UNKNOWN}" if cell.protocol == "unknown" else cell.protocol
    if cell.spread is None:
        return [f"{cell.value:.2f}", f"n={runs}, {epoch}"]
    meaning = f"± {UNKNOWN}" if cell.meaning == "unknown" else cell.meaning
    return [f"{cell.value:.2f} ± {cell.spread:.2f}", f"{meaning}, n={runs}, {epoch}"]


def _smaller(line: ReportRow) -> list[str]:
    ensemble, train = line.smaller_ensemble, line.smaller_train
    more = [] if train is None or train.mean is None else [f"train {train.mean:.2f}"]
    if ensemble is not None and ensemble.mean is not None:
        more.append(f"ensemble of {ensemble.size}: {ensemble.mean:.2f}")
    return [*_measured(line.smaller), *more]


def _measured(measured: Sequence[Measured]) -> list[str]:
    """For example ``last 30.41 ± 0.12``, ``best 30.02 ± 0.10`` and ``2/3 seeds, 1 NaN``."""
    if not measured:
        return [ABSENT]
    means = [
        f"{m.protocol} {m.mean:.2f}" + ("" if m.sd is None else f" ± {m.sd:.2f}")
        for m in measured
        if m.mean is not None
    ]
    first, n = measured[0], len(measured[0].values)
    sources = f", {first.sources} sources" if 1 < first.sources < n else ""
    if n == first.planned:
        return [*means, f"n={n}{sources}"]
    diverged = f", {first.diverged} NaN" if first.diverged else ""
    return [*means, f"{n}/{first.planned} seeds{diverged}{sources}"]


def _ensemble(ensemble: Ensemble | None) -> list[str]:
    """For example ``69.30 / 69.81 ± 0.12`` over ``3 networks, +0.51``."""
    if ensemble is None:
        return [ABSENT]
    published = ABSENT if ensemble.published is None else f"{ensemble.published:.2f}"
    ours = ABSENT if ensemble.mean is None else f"{ensemble.mean:.2f}"
    spread = "" if ensemble.sd is None else f" ± {ensemble.sd:.2f}"
    difference = "" if ensemble.difference is None else f", {ensemble.difference:+.2f}"
    return [f"{published} / {ours}{spread}", f"{ensemble.size} networks{difference}"]


def _differences(line: ReportRow) -> list[str]:
    return [f"{m.difference:+.2f}" for m in line.measured if m.difference is not None] or [ABSENT]


def _verdict(line: ReportRow) -> list[str]:
    if line.waits is not None:
        return ["waits"]
    if line.unscored is not None:
        return ["unscored"]
    verdict = line.verdict
    if verdict is None:
        return ["not published"]
    text = [f"{verdict.text}: {verdict.reason}" if verdict.word == "undecided" else verdict.text]
    if verdict.word in ("not reproduced", "impossible") and line.holm is not None:
        text.append(f"Holm: {shown(line.holm)}")
    return text if verdict.detectable is None else [*text, f"80 % power: {verdict.detectable:.2f}"]


def _cost_column(column: CostColumn) -> Callable[[ReportRow], Sequence[str]]:
    """For example ``6.43 / 6.45`` over ``agrees``."""

    def show(line: ReportRow) -> Sequence[str]:
        cost = line.costs[column]
        published = ABSENT if cost.published is None else f"{cost.published:g}"
        numbers = f"{published} / {number(cost.derived)}"
        return [numbers] if cost.verdict is None else [numbers, cost.verdict.word]

    return show


def number(value: float | None) -> str:
    """Two decimals, more where the number is small; what is counted as it is."""
    if value is None:
        return ABSENT
    if isinstance(value, int):
        return str(value)
    return f"{value:.2f}" if value == 0 or value >= 0.1 else f"{value:.3g}"
