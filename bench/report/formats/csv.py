"""The numbers of a report, one line a row."""

from collections.abc import Sequence
from typing import Any

from bench.report.cells import BOTH, COST_METRICS
from bench.report.layout import FIDELITY
from bench.report.model import Measured, Report, ReportRow
from bench.text import in_a_spreadsheet, visible


def to_csv(report: Report) -> str:
    """Every number of the report's rows in full precision, with plain column names; empty where there is none."""
    from pandas import DataFrame

    # Objects are written as they are: a missing count must not turn the others into 5.0.
    rows = [{key: _cell(value) for key, value in _fields(report, line).items()} for line in report.lines]
    frame = DataFrame(rows, dtype=object)
    return frame.to_csv(index=False, lineterminator="\n")


def _cell(value: Any) -> Any:
    return in_a_spreadsheet(visible(value)) if isinstance(value, str) else value


def _fields(report: Report, line: ReportRow) -> dict[str, Any]:
    fields = {
        "table": report.table,
        "row": line.name,
        "label": line.label,
        "group": line.group,
        "available": line.available,
        "scored": line.available and line.unscored is None and line.waits is None,
        **_attributes(line.published, "published", ("value", "spread", "meaning", "n", "protocol", "source")),
        **_measured(line.measured, ""),
    }
    if any(other.published and other.published.nets for other in report.lines):
        fields["published_nets"] = " ".join(map(str, line.published.nets)) if line.published else None
    for protocol in BOTH:
        measured = next((m for m in line.measured if m.protocol == protocol), None)
        fields |= _attributes(measured, protocol, ("difference",))
        fields |= _attributes(measured and measured.verdict, protocol, ("h90", "h95"))
    fields |= {"margin": line.margin, **_attributes(line.verdict, "verdict", ("word", "text", "reason", "p"))}
    fields |= {"holm": line.holm, "power": line.verdict and line.verdict.detectable}
    for metric in COST_METRICS:
        cost = line.costs.get(metric)
        fields |= _attributes(cost, metric, ("published", "derived"))
        fields |= _attributes(cost and cost.verdict, metric, ("word",))
    fields |= _attributes(line.training, "training_flops", ("own", "whole"))
    if "ensemble" in report.columns:
        fields |= _attributes(line.ensemble, "ensemble", ("size", "published", "count", "mean", "sd", "difference"))
    if "train" in report.columns:
        fields |= _attributes(line.train, "train", ("mean", "sd"))
    if "fidelity" in report.columns:
        own = line.fidelity
        fields["fidelity_n"] = own and own.n
        for name in FIDELITY:
            fields[f"fidelity_{name}"] = own and own.means.get(name)
            fields[f"baseline_{name}"] = own and own.baseline.get(name)
    return fields | (_measured(line.smaller, f"{report.smaller}_") if report.smaller else {})


def _measured(cells: Sequence[Measured], prefix: str) -> dict[str, Any]:
    fields = {f"{prefix}{key}": getattr(cells[0], key) if cells else None for key in ("planned", "diverged")}
    for protocol in BOTH:
        measured = next((m for m in cells if m.protocol == protocol), None)
        fields[f"{prefix}{protocol}_n"] = measured and len(measured.values)
        fields |= _attributes(measured, f"{prefix}{protocol}", ("mean", "sd"))
    return fields


def _attributes(value: object, prefix: str, names: Sequence[str]) -> dict[str, Any]:
    """Some attributes of a value as columns, all empty where there is no value."""
    return {f"{prefix}_{name}": getattr(value, name, None) for name in names}
