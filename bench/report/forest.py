"""The lines of a forest plot: what was published, and what each seed of ours measured."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from bench.report.model import Epoch, Report, ReportRow


@dataclass(frozen=True)
class ForestLine:
    """One row under one protocol, in % as the table has it.

    ``published_spread`` and ``sd`` are half-widths around ``published`` and ``mean``, ``margin`` is the verdict's.
    ``h90`` and ``h95`` are the half-widths of the intervals of the difference that the verdict rests on.
    """

    row: str
    label: str
    group: str
    epoch: Epoch
    values: Mapping[int, float]
    published: float | None = None
    published_spread: float | None = None
    margin: float | None = None
    mean: float | None = None
    sd: float | None = None
    h90: float | None = None
    h95: float | None = None
    word: str = ""


def forest(report: Report) -> tuple[ForestLine, ...]:
    """A line for each protocol under which a row is shown, in the table's order; one for a published value alone.

    None at all where no row has a published value or a run.
    """
    lines = tuple(line for row in report.lines for line in _lines(report, row))
    return lines if any(line.mean is not None or line.published is not None for line in lines) else ()


def comparable(lines: Iterable[ForestLine]) -> tuple[ForestLine, ...]:
    """Those that have a published value to be compared with."""
    return tuple(line for line in lines if line.published is not None and line.margin is not None)


def margin_of(report: Report, row: ReportRow) -> float | None:
    """The difference from what is published that does not matter; None where nothing is judged."""
    if row.published is None or row.unscored is not None:
        return None
    return getattr(row, "margin", None) or report.margin


def verdict_words(row: ReportRow) -> str:
    """The verdict with all that it depends on; why there is none."""
    if row.unscored is not None:
        return "unscored"
    if getattr(row, "waits", None) is not None:
        return "waits"
    return "not published" if row.verdict is None else getattr(row.verdict, "text", row.verdict.word)


def _lines(report: Report, row: ReportRow) -> Iterator[ForestLine]:
    bare = ForestLine(
        row=row.name,
        label=row.label,
        group=row.group,
        epoch="last",
        values={},
        published=row.published.value if row.published else None,
        published_spread=row.published.spread if row.published else None,
        margin=margin_of(report, row),
        word=verdict_words(row),
    )
    if not row.measured and row.published is not None:
        yield bare
    for measured in row.measured:
        verdict = measured.verdict
        yield replace(
            bare,
            epoch=measured.protocol,
            values=measured.values,
            mean=measured.mean,
            sd=measured.sd,
            h90=verdict.h90 if verdict else None,
            h95=verdict.h95 if verdict else None,
        )
