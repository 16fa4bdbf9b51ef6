"""What other epochs and other rows say of a published number that a row does not reproduce."""

from collections.abc import Iterable
from dataclasses import replace
from statistics import fmean

from bench.metrics import Metric
from bench.recipe import Row
from bench.record import Record, test_score
from bench.report.cells import Comparison, Samples, measured_cell
from bench.report.model import Measured
from bench.report.verdict import Verdict

TAIL, LEVEL = 0.2, 0.1  # a plateau: the last fifth of the epochs brings less than 0.1 points


def passed(samples: Samples, compared: Comparison, metric: Metric) -> str | None:
    """Between which epochs our first networks, on average, pass a published number worse than what they end with."""
    curves = [_burdens(sample.record, metric) for sample in samples.recorded if sample.record.status == "done"]
    means = [fmean(burdens) for burdens in zip(*curves, strict=False)]
    limit = metric.recorded.burden(metric.shown(compared.published.value))
    if not means or means[-1] >= limit:
        return None
    epoch = next(i for i, mean in enumerate(means) if mean < limit)
    if epoch == 0:
        return "the published value is passed within the first epoch of our runs"
    return f"the published value lies between epochs {epoch} and {epoch + 1} of our runs"


def bounded(row: Row, samples: Samples, compared: Comparison, metric: Metric) -> Verdict | None:
    """*impossible*, where a published number is better than what a row of the same network reaches at its plateau.

    All its seeds must be done and at their plateau. Their best epoch counts, which the test set has chosen.
    """
    levelled = [sample for sample in samples.recorded if _levelled(sample.record, metric)]
    if len(levelled) < max(samples.planned, len(samples.recorded)):
        return None
    reached = measured_cell(replace(row, unscored=None), samples, "best", metric, compared)
    verdict, better = reached.verdict, metric.higher_is_better
    if verdict is None or verdict.word != "not reproduced" or ((verdict.d or 0) > 0) == better:
        return None
    reason = f"trained to its plateau ({row.label}), the network reaches {reached.mean:.2f} at its best epoch"
    return replace(verdict, word="impossible", reason=reason, assumed=False)


def nearest(hypotheses: Iterable[tuple[Row, tuple[Measured, ...]]], compared: Comparison) -> str | None:
    """Which hypothesis comes nearest to the published number: under the protocol in which it fits worse."""
    published = compared.published.value
    fits = [
        (max(abs(m.mean - published) for m in measured if m.mean is not None), row, measured)
        for row, measured in hypotheses
        if any(m.mean is not None for m in measured)
    ]
    if not fits:
        return None
    _, row, measured = min(fits, key=lambda fit: fit[0])
    means = " and ".join(
        f"{m.mean:.2f} ({m.protocol}, {m.mean - published:+.2f})" for m in measured if m.mean is not None
    )
    chosen = f", the nearest of {len(fits)} hypotheses, chosen after the fact" if len(fits) > 1 else ""
    return f'the hypothesis "{row.label}" ({row.group}) gives {means}{chosen}'


def _levelled(record: Record, metric: Metric) -> bool:
    burdens = _burdens(record, metric)
    head = burdens[: round(len(burdens) * (1 - TAIL))]
    return record.status == "done" and bool(head) and min(head) - min(burdens) < LEVEL


def _burdens(record: Record, metric: Metric) -> list[float]:
    """What is recorded of a metric for a run's first network after each epoch, as the lower is the better."""
    own = metric.recorded
    return [own.burden(test_score(epoch["networks"][0], own.name)) for epoch in record.curve]
