"""A report laid out for people: what it comes to, a table of short entries, what explains it; no format yet."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.metrics import Metric
from bench.report.answers import answer
from bench.report.columns import ABSENT, UNKNOWN, columns, number
from bench.report.footnotes import Footnotes
from bench.report.model import Claimed, Fidelity, Provenance, Report, ReportRow
from bench.report.verdict import SIGNIFICANCE

LEGENDS: dict[str, str] = {
    "params": "Params: millions of trained parameters of the deployed network.",
    "size": "Size: 1e6 bytes of the deployed network's parameters, 4 each, or as its weights are represented: codes"
    " without gaps, and the scales that they need.",
    "trcost": "TrCost: 1e8 FLOPs an image, forward, of all networks that a training step runs (teacher included).",
    "tecost": "TeCost: 1e8 FLOPs an image, forward, of the deployed network.",
    "iterations": "Iterations: training steps of the row's stages, of as many networks as the paper trained; what"
    " another row trained does not count.",
    "fidelity": "What was transferred: how often a student and its teacher name the same class (agreement), the mean KL"
    " divergence from the teacher's to the student's probabilities; negative log-likelihood in nats and expected"
    " calibration error (15 bins) of the student; and the rank correlation of what it takes classes for with the"
    " similarity of their words. On the test images, at the last epoch.",
    "train": "Train: the same of the training images, as they were shown in the last epoch, augmented, each before the"
    " step that it was part of.",
    "ensemble": "Ensemble: of the mean softmax output of some networks, published / ours; ours is the mean ± standard"
    " deviation over all subsets of the seeds, which share networks and so give no verdict; or, of generations,"
    " over the seeds.",
}

# By name in :class:`bench.record.FidelityEntry`: the header, and how a number is written.
FIDELITY = {
    "agreement": ("Agreement (%)", ".2f"),
    "divergence": ("KL", ".3f"),
    "nll": ("NLL", ".3f"),
    "calibration_error": ("ECE (%)", ".2f"),
    "word_agreement": ("Words", "+.3f"),
}


# The first line of an entry that says nothing.
EMPTY = {"", ABSENT, "N/A", f"{ABSENT} / {ABSENT}"}


@dataclass(frozen=True)
class Entry:
    """What stands in one place of a table: lines of text, and the numbers of its footnotes."""

    lines: tuple[str, ...]
    marks: tuple[int, ...] = ()


@dataclass(frozen=True)
class Grid:
    """A table; its ``columns`` have names, the first of them ``group`` and ``label``. The main one has no title."""

    title: str
    columns: tuple[str, ...]
    headers: tuple[Entry, ...]
    rows: tuple[tuple[Entry, ...], ...]

    def where(self, kept: Callable[[int], bool]) -> "Grid":
        """The same with some of its columns, by their index."""

        def some(row: Sequence[Entry]) -> tuple[Entry, ...]:
            return tuple(entry for i, entry in enumerate(row) if kept(i))

        names = tuple(name for i, name in enumerate(self.columns) if kept(i))
        return Grid(self.title, names, some(self.headers), tuple(map(some, self.rows)))


@dataclass(frozen=True)
class Listing:
    """Texts under a title; the numbers of a ``numbered`` one are footnote marks."""

    title: str
    items: tuple[str, ...]
    numbered: bool = False


@dataclass(frozen=True)
class Page:
    """What a report comes to stands above its table, what explains it below; no list and no table there is empty."""

    title: str
    paper: str
    above: tuple[Listing, ...]
    table: Grid
    below: tuple[Grid | Listing, ...]


def lay_out(report: Report, *, brief: bool = False, without: Collection[str] = ()) -> Page:
    """Arrange a report for reading, its notes numbered in the order in which it is read.

    Args:
        report: what to lay out.
        brief: only the answer, the claims and the verdicts.
        without: columns to leave out; those that have nothing in any row are left out anyway.
    """
    tried = f"Claims, {report.smaller} profile: not a result"
    above = (
        Listing("In short", answer(report)),
        Listing("Claims", _claims(report.claims)),
        Listing(tried, _claims(claimed for claimed in report.smaller_claims if claimed.verdict.word != "no runs yet")),
    )
    table = _filled(_comparison(report))
    if brief:
        table = table.where(lambda i: table.columns[i] in ("group", "label", "verdict"))
        bare = tuple(tuple(Entry(entry.lines) for entry in row) for row in table.rows)
        return Page(report.title, report.paper, _said(above), replace(table, rows=bare), ())
    table, notes = numbered(table.where(lambda i: table.columns[i] not in without), report.footnotes)
    below = (
        Listing("How to read it", _legend(report, without)),
        notes,
        Listing("Assumed in every row, since the paper does not say", report.assumed),
        Listing("Deviations in every row", report.deviations),
    )
    grids = (
        _transfer(report, "", lambda line: line.fidelity),
        _transfer(report, f", {report.smaller} profile: not a result", lambda line: line.smaller_fidelity),
        _training(report),
    )
    made = (Listing("Made from", (_provenance(report.provenance),)),)
    with_numbers = (filled for grid in grids if len((filled := _filled(grid)).columns) > 2)
    return Page(report.title, report.paper, _said(above), table, (*_said(below), *with_numbers, *made))


def numbered(grid: Grid, texts: Sequence[str]) -> tuple[Grid, Listing]:
    """A table whose marks are numbers of some texts, with their numbers in reading order; and those that it names."""
    notes = Footnotes()

    def again(entry: Entry) -> Entry:
        return replace(entry, marks=tuple(sorted(notes.mark(texts[mark - 1] for mark in entry.marks))))

    rows = tuple(tuple(map(again, row)) for row in grid.rows)
    return replace(grid, rows=rows), Listing("Notes", notes.texts, numbered=True)


def _said(listings: Sequence[Listing]) -> tuple[Listing, ...]:
    return tuple(listing for listing in listings if listing.items)


def _filled(grid: Grid) -> Grid:
    """Without the columns that have nothing in any row; group and label stay."""
    return grid.where(lambda i: i < 2 or any(row[i].lines[0] not in EMPTY for row in grid.rows))


def _claims(claims: Iterable[Claimed]) -> tuple[str, ...]:
    told = ((claimed.text, claimed.verdict.text, claimed.verdict.reason) for claimed in claims)
    return tuple(f"{text}: {word}{reason and f' ({reason})'}" for text, word, reason in told)


def _comparison(report: Report) -> Grid:
    shown = columns(report)
    rows = []
    for line, group in zip(report.lines, _groups(report.lines), strict=True):
        label = Entry((line.label,), line.marks.get("label", ()))
        cells = (
            Entry(tuple(show(line)) if line.available else ("N/A",), line.marks.get(column, ()))
            for column, (_, show) in shown.items()
        )
        rows.append((Entry((group,)), label, *cells))
    headers = [report.grouped_by.replace(" ", "\n"), "Row", *(header for header, _ in shown.values())]
    entries = tuple(Entry(tuple(header.split("\n"))) for header in headers)
    return Grid("", ("group", "label", *shown), entries, tuple(rows))


def _groups(lines: Sequence[ReportRow]) -> list[str]:
    """The group of each line, empty where it is the line above's."""
    return [line.group if i == 0 or lines[i - 1].group != line.group else "" for i, line in enumerate(lines)]


def _legend(report: Report, without: Collection[str]) -> tuple[str, ...]:
    fixed = (
        f"{_meaning(report.metric)} is better; {UNKNOWN} is not stated in the paper.",
        "Published: value ± spread (its meaning, number of runs, epoch). Ours: mean ± standard deviation of one run, "
        "over n seeds, at the last epoch or at the best one on the test set, as published; both where that is unknown.",
        f"Verdicts allow a margin of {report.margin:g} points, or half of a smaller difference that the paper makes"
        " something of. Costs: published / ours.",
        *_statistics(report),
    )
    return (*fixed, *(LEGENDS[column] for column in report.columns if column in LEGENDS and column not in without))


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
    headers = {"n": "n"} | {name: header for name, (header, _) in FIDELITY.items()}
    return _plain(
        f"What was transferred (the row's own / that of a network of the same seed that was trained alone){which}",
        report,
        headers,
        [
            (line, (str(own.n), *(_beside(own, name, form) for name, (_, form) in FIDELITY.items())))
            for line, own in measured
        ],
    )


def _beside(fidelity: Fidelity, name: str, form: str) -> str:
    """For example ``91.20 / 84.10``."""
    if name not in fidelity.means:
        return ABSENT
    own, alone = fidelity.means[name], fidelity.baseline.get(name)
    return f"{own:{form}}" if alone is None else f"{own:{form}} / {alone:{form}}"


def _training(report: Report) -> Grid:
    lines = [line for line in report.lines if line.available and line.waits is None]
    headers = {"own": "own stages", "whole": "with all that it takes from", "spent": "own stages, really spent"}
    return _plain(
        "Total training cost of one seed (1e15 FLOPs, all epochs, backward included)",
        report,
        headers,
        [(line, [number(n if n is None else n / 1e15) for n in vars(line.training).values()]) for line in lines],
    )


def _plain(
    title: str, report: Report, headers: Mapping[str, str], rows: Sequence[tuple[ReportRow, Sequence[str]]]
) -> Grid:
    """A table of one line each, with no notes."""
    groups = _groups([line for line, _ in rows])
    texts = [(group, line.label, *values) for group, (line, values) in zip(groups, rows, strict=True)]
    return Grid(
        title,
        ("group", "label", *headers),
        tuple(Entry((header,)) for header in (report.grouped_by, "Row", *headers.values())),
        tuple(tuple(Entry((text,)) for text in row) for row in texts),
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
