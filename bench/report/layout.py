"""A report laid out for people: a table of short entries, a table of training costs, and lists; no format yet."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench.metrics import Metric
from bench.recipe import Cell
from bench.recipe.model import CostColumn
from bench.report.cells import cost_columns
from bench.report.model import Ensemble, Fidelity, Measured, Provenance, Report, ReportRow
from bench.report.verdict import SIGNIFICANCE, shown

UNKNOWN = "?"
ABSENT = "-"
COST_NAMES: dict[CostColumn, str] = {
    "params": "Params (M)",
    "trcost": "TrCost",
    "tecost": "TeCost",
    "iterations": "Iterations",
}
LEGENDS: dict[str, str] = {
    "params": "Params: millions of trained parameters of the deployed network.",
    "trcost": "TrCost: 1e8 FLOPs an image, forward, of all networks that a training step runs (teacher included).",
    "tecost": "TeCost: 1e8 FLOPs an image, forward, of the deployed network.",
    "iterations": "Iterations: training steps of the row's stages, of as many networks as the paper trained; what"
    " another row trained does not count.",
    "fidelity": "What was transferred: how often a student and its teacher name the same class (agreement), the mean KL"
    " divergence from the teacher's to the student's probabilities; negative log-likelihood in nats and expected"
    " calibration error (15 bins) of the student; and the rank correlation of what it takes classes for with the"
    " similarity of their words. On the test images, at the last epoch.",
    "ensemble": "Ensemble: of the mean softmax output of some networks, published / ours; ours is the mean ± standard"
    " deviation over all subsets of the seeds, which share networks and so give no verdict.",
}

# By name in :class:`bench.record.FidelityEntry`: the header, and how a number is written.
FIDELITY = {
    "agreement": ("Agreement (%)", ".2f"),
    "divergence": ("KL", ".3f"),
    "nll": ("NLL", ".3f"),
    "calibration_error": ("ECE (%)", ".2f"),
    "word_agreement": ("Words", "+.3f"),
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


def lay_out(report: Report) -> Page:
    """Arrange a report for reading."""
    claims = [(claimed.text, claimed.verdict.text, claimed.verdict.reason) for claimed in report.claims]
    blocks: list[Grid | Listing] = [
        _comparison(report),
        Listing("How to read it", _legend(report)),
        Listing("Notes", report.footnotes, numbered=True),
        Listing("Assumed in every row, since the paper does not say", report.assumed),
        Listing("Deviations in every row", report.deviations),
        Listing("Claims", tuple(f"{text}: {word}{reason and f' ({reason})'}" for text, word, reason in claims)),
        _transfer(report, "", lambda line: line.fidelity),
        _transfer(report, f", {report.smaller} profile: not a result", lambda line: line.smaller_fidelity),
        _training(report),
        Listing("Made from", (_provenance(report.provenance),)),
    ]
    return Page(report.title, report.paper, tuple(b for b in blocks if (b.rows if isinstance(b, Grid) else b.items)))


def _comparison(report: Report) -> Grid:
    columns: dict[str, tuple[str, Callable[[ReportRow], Sequence[str]]]] = {
        "published": ("Published", lambda line: _published(line.published)),
        "measured": ("Ours", lambda line: _measured(line.measured)),
        "difference": ("Diff.", _differences),
        "verdict": ("Verdict", _verdict),
    }
    for column in report.columns:
        columns |= {cost: (COST_NAMES[cost], _cost_column(cost)) for cost in cost_columns([column])}
        if column == "ensemble":
            columns[column] = ("Ensemble", lambda line: _ensemble(line.ensemble))
    if report.smaller:
        columns["smaller"] = (f"{report.smaller} profile:\nnot a result", _smaller)
    headers = [report.grouped_by.replace(" ", "\n"), "Row", *(header for header, _ in columns.values())]
    rows = []
    for line, group in zip(report.lines, _groups(report.lines), strict=True):
        label = Entry((line.label,), line.marks.get("label", ()))
        cells = (
            Entry(tuple(show(line)) if line.available else ("N/A",), line.marks.get(column, ()))
            for column, (_, show) in columns.items()
        )
        rows.append((Entry((group,)), label, *cells))
    return Grid("", tuple(Entry(tuple(header.split("\n"))) for header in headers), tuple(rows))


def _groups(lines: Sequence[ReportRow]) -> list[str]:
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


def _smaller(line: ReportRow) -> list[str]:
    ensemble = line.smaller_ensemble
    if ensemble is None or ensemble.mean is None:
        return _measured(line.smaller)
    return [*_measured(line.smaller), f"ensemble of {ensemble.size}: {ensemble.mean:.2f}"]


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
        numbers = f"{published} / {_number(cost.derived)}"
        return [numbers] if cost.verdict is None else [numbers, cost.verdict.word]

    return show


def _number(value: float | None) -> str:
    """Two decimals, more where the number is small; what is counted as it is."""
    if value is None:
        return ABSENT
    if isinstance(value, int):
        return str(value)
    return f"{value:.2f}" if value == 0 or value >= 0.1 else f"{value:.3g}"


def _legend(report: Report) -> tuple[str, ...]:
    fixed = (
        f"{_meaning(report.metric)} is better; {UNKNOWN} is not stated in the paper.",
        "Published: value ± spread (its meaning, number of runs, epoch). Ours: mean ± standard deviation of one run, "
        "over n seeds, at the last epoch or at the best one on the test set, as published; both where that is unknown.",
        f"Verdicts allow a margin of {report.margin:g} points, or half of a smaller difference that the paper makes"
        " something of. Costs: published / ours.",
        *_statistics(report),
    )
    return (*fixed, *(LEGENDS[column] for column in report.columns if column in LEGENDS))


def _meaning(metric: Metric) -> str:
    """For example ``Top-1 test error in %, lower``."""
    unit = f" in {metric.unit}" if metric.unit else ""
    return f"{metric.meaning}{unit}, {'higher' if metric.higher_is_better else 'lower'}"


def _statistics(report: Report) -> Iterator[str]:
    """What must be known of verdicts; nothing where there is none yet."""
    verdicts = [line.verdict for line in report.lines if line.verdict is not None and line.verdict.p is not None]
    if not verdicts:
        return
    yield "80 % power: the smallest true difference that such runs show, beyond their 95 % interval, 4 times in 5."
    cells = len(verdicts)
    yield (
        f"Many cells: were every published value true, up to {SIGNIFICANCE * cells:.2g} of {cells} verdicts would still"
        f' be a false "not reproduced", and one or more with a probability of up to'
        f" {1 - (1 - SIGNIFICANCE) ** cells:.0%}. Holm: the p-value corrected for that."
    )
    if any("interim" in verdict.conditions for verdict in verdicts):
        yield "Interim: some planned seeds are still to come; to look again after each one raises false alarms."


def _transfer(report: Report, which: str, fidelity: Callable[[ReportRow], Fidelity | None]) -> Grid:
    """What was measured of probabilities; a row's own number before that of its baseline."""
    measured = [(line, own) for line in report.lines if (own := fidelity(line)) is not None]
    groups = _groups([line for line, _ in measured])
    rows = [
        (group, line.label, str(own.n), *(_beside(own, name, form) for name, (_, form) in FIDELITY.items()))
        for group, (line, own) in zip(groups, measured, strict=True)
    ]
    headers = (report.grouped_by, "Row", "n", *(header for header, _ in FIDELITY.values()))
    return Grid(
        f"What was transferred (the row's own / that of a network of the same seed that was trained alone){which}",
        tuple(Entry((header,)) for header in headers),
        tuple(tuple(Entry((text,)) for text in row) for row in rows),
    )


def _beside(fidelity: Fidelity, name: str, form: str) -> str:
    """For example ``91.20 / 84.10``."""
    if name not in fidelity.means:
        return ABSENT
    own, alone = fidelity.means[name], fidelity.baseline.get(name)
    return f"{own:{form}}" if alone is None else f"{own:{form}} / {alone:{form}}"


def _training(report: Report) -> Grid:
    lines = [line for line in report.lines if line.available and line.waits is None]
    headers = (report.grouped_by, "Row", "own stages", "with all that it takes from", "own stages, really spent")
    rows = [
        (group, line.label, *(_number(n if n is None else n / 1e15) for n in vars(line.training).values()))
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
        f"devices: {', '.join(made.devices)}; precision: {', '.join(made.precisions)}; "
        f"libraries: {', '.join(made.libraries) or 'unknown'}; commits: {commits}"
    )
