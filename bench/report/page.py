"""A sheet laid out for people: a table of short entries, a table of training costs, and lists; no format yet."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.recipe import Cell
from bench.recipe.model import Metric, Quality
from bench.report.sheet import Claimed, CostCell, Ensemble, Line, Measured, Provenance, Sheet

UNKNOWN = "?"
ABSENT = "-"
METRIC_LEGENDS: dict[Quality, str] = {"error": "error in %, lower", "accuracy": "accuracy in %, higher"}
COST_NAMES: dict[Metric, str] = {
    "params": "Params (M)",
    "trcost": "TrCost",
    "tecost": "TeCost",
    "iterations": "Iterations",
}
LEGENDS: dict[Metric, str] = {
    "params": "Params: millions of trained parameters of the deployed network.",
    "trcost": "TrCost: 1e8 FLOPs an image, forward, of all networks that a training step runs (teacher included).",
    "tecost": "TeCost: 1e8 FLOPs an image, forward, of the deployed network.",
    "iterations": "Iterations: training steps of the row's stages, of as many networks as the paper trained; what"
    " another row trained does not count.",
    "ensemble": "Ensemble: of the mean softmax output of some networks, published / ours; ours is the mean ± standard"
    " deviation over all subsets of the seeds, which share networks and so give no verdict.",
}


@dataclass(frozen=True)
class Entry:
    """What stands in one place of a table: lines of text, and the numbers of its footnotes."""

    lines: tuple[str, ...]
    marks: tuple[int, ...] = ()


@dataclass(frozen=True)
class Grid:
    """A table with its headers; ``title`` is empty for the main one."""

    title: str
    headers: tuple[Entry, ...]
    rows: tuple[tuple[Entry, ...], ...]


@dataclass(frozen=True)
class Listing:
    """Texts under a title; the numbers of a ``numbered`` one are footnote marks."""

    title: str
    items: tuple[str, ...]
    numbered: bool = False


@dataclass(frozen=True)
class Page:
    """A title, the paper, and blocks in reading order, none of them empty."""

    title: str
    paper: str
    blocks: tuple[Grid | Listing, ...]


def lay_out(sheet: Sheet) -> Page:
    """Arrange a sheet for reading."""
    blocks: list[Grid | Listing] = [
        _main(sheet),
        Listing("How to read it", _legend(sheet)),
        Listing("Notes", sheet.footnotes, numbered=True),
        Listing("Assumed in every row, since the paper does not say", sheet.assumed),
        Listing("Deviations in every row", sheet.deviations),
        Listing("Claims", tuple(_claim(claimed) for claimed in sheet.claims)),
        _training(sheet),
        Listing("Made from", (_provenance(sheet.provenance),)),
    ]
    return Page(sheet.title, sheet.paper, tuple(b for b in blocks if (b.rows if isinstance(b, Grid) else b.items)))


def _main(sheet: Sheet) -> Grid:
    columns: dict[str, tuple[str, Callable[[Line], Sequence[str]]]] = {
        "published": ("Published", lambda line: _published(line.published)),
        "measured": ("Ours", lambda line: _measured(line.measured)),
        "difference": ("Diff.", lambda line: _differences(line.measured)),
        "verdict": ("Verdict", lambda line: [_verdict(line)]),
    }
    for metric in sheet.columns:
        if metric in COST_NAMES:
            columns[metric] = (COST_NAMES[metric], _cost_column(metric))
        if metric == "ensemble":
            columns[metric] = ("Ensemble", lambda line: _ensemble(line.ensemble))
    if sheet.smaller:
        columns["smaller"] = (f"{sheet.smaller} profile:\nnot a result", _smaller)
    headers = [sheet.grouped_by.replace(" ", "\n"), "Row", *(header for header, _ in columns.values())]
    rows = []
    for line, group in zip(sheet.lines, _groups(sheet.lines), strict=True):
        label = Entry((line.label,), line.marks.get("label", ()))
        cells = (
            Entry(tuple(show(line)) if line.available else ("N/A",), line.marks.get(column, ()))
            for column, (_, show) in columns.items()
        )
        rows.append((Entry((group,)), label, *cells))
    return Grid("", tuple(Entry(tuple(header.split("\n"))) for header in headers), tuple(rows))


def _groups(lines: Sequence[Line]) -> list[str]:
    """The group of each line, empty where it is the line above's."""
    return [line.group if i == 0 or lines[i - 1].group != line.group else "" for i, line in enumerate(lines)]


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


def _smaller(line: Line) -> list[str]:
    ensembles = [line.smaller_ensemble] if line.smaller_ensemble and line.smaller_ensemble.mean is not None else []
    return [*_measured(line.smaller), *(f"ensemble of {found.size}: {found.mean:.2f}" for found in ensembles)]


def _measured(measured: Sequence[Measured]) -> list[str]:
    """For example ``last 30.41 ± 0.12``, ``best 30.02 ± 0.10`` and ``2/3 seeds, 1 NaN``."""
    if not measured:
        return [ABSENT]
    return [*(_mean(m) for m in measured if m.mean is not None), _count(measured[0])]


def _ensemble(found: Ensemble | None) -> list[str]:
    """For example ``69.30 / 69.81 ± 0.12`` over ``3 networks, +0.51``."""
    if found is None:
        return [ABSENT]
    published = ABSENT if found.published is None else f"{found.published:.2f}"
    ours = ABSENT if found.mean is None else f"{found.mean:.2f}" + ("" if found.sd is None else f" ± {found.sd:.2f}")
    difference = "" if found.difference is None else f", {found.difference:+.2f}"
    return [f"{published} / {ours}", f"{found.size} networks{difference}"]


def _mean(m: Measured) -> str:
    spread = "" if m.sd is None else f" ± {m.sd:.2f}"
    return f"{m.protocol} {m.mean:.2f}{spread}"


def _count(m: Measured) -> str:
    if len(m.values) == m.planned:
        return f"n={m.planned}"
    return f"{len(m.values)}/{m.planned} seeds" + (f", {m.diverged} NaN" if m.diverged else "")


def _differences(measured: Sequence[Measured]) -> list[str]:
    return [f"{m.difference:+.2f}" for m in measured if m.difference is not None] or [ABSENT]


def _verdict(line: Line) -> str:
    if line.unscored is not None:
        return "unscored"
    if line.verdict is None:
        return "not published"
    return f"undecided: {line.verdict.reason}" if line.verdict.word == "undecided" else line.verdict.word


def _cost_column(metric: Metric) -> Callable[[Line], Sequence[str]]:
    return lambda line: _cost(line.costs[metric])


def _cost(cost: CostCell) -> list[str]:
    published = ABSENT if cost.published is None else f"{cost.published:g}"
    numbers = f"{published} / {_number(cost.derived)}"
    return [numbers] if cost.verdict is None else [numbers, cost.verdict.word]


def _number(value: float | None) -> str:
    """Two decimals, more where the number is small; what is counted as it is."""
    if value is None:
        return ABSENT
    if isinstance(value, int):
        return str(value)
    return f"{value:.2f}" if value == 0 or value >= 0.1 else f"{value:.3g}"


def _legend(sheet: Sheet) -> tuple[str, ...]:
    fixed = (
        f"Top-1 test {METRIC_LEGENDS[sheet.metric]} is better; {UNKNOWN} is not stated in the paper.",
        "Published: value ± spread (its meaning, number of runs, epoch). Ours: mean ± sample standard deviation over n "
        "seeds, at the last epoch or at the best one on the test set, as published; both where that is unknown.",
        f"Verdicts allow a margin of {sheet.margin:g} points. Costs: published / ours.",
    )
    return (*fixed, *(LEGENDS[metric] for metric in sheet.columns if metric in LEGENDS))


def _claim(claimed: Claimed) -> str:
    reason = f" ({claimed.verdict.reason})" if claimed.verdict.reason else ""
    return f"{claimed.text}: {claimed.verdict.word}{reason}"


def _training(sheet: Sheet) -> Grid:
    lines = [line for line in sheet.lines if line.available]
    headers = (sheet.grouped_by, "Row", "own stages", "with all that it takes from")
    rows = [
        (group, line.label, *(_number(n if n is None else n / 1e15) for n in (line.training.own, line.training.whole)))
        for line, group in zip(lines, _groups(lines), strict=True)
    ]
    return Grid(
        "Total training cost of one seed (1e15 FLOPs, all epochs, backward included)",
        tuple(Entry((header,)) for header in headers),
        tuple(tuple(Entry((text,)) for text in row) for row in rows),
    )


def _provenance(made: Provenance) -> str:
    if made.first is None or made.last is None:
        return f"no paper-profile run yet: {made.planned} runs to train"
    commits = ", ".join(commit[:10] for commit in made.commits)
    return (
        f"{made.records} of {made.planned} paper-profile runs, finished {made.first[:10]} to {made.last[:10]}; "
        f"devices: {', '.join(made.devices)}; commits: {commits}"
    )
