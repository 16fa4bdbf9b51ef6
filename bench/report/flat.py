"""A sheet as CSV: one line a row, full precision, plain column names; units are those of the sheet."""

from collections.abc import Sequence
from typing import Any

from bench.report.costing import COST_METRICS
from bench.report.measure import BOTH
from bench.report.sheet import Line, Measured, Sheet


def csv(sheet: Sheet) -> str:
    """Every number of the sheet's rows; empty where there is none."""
    from pandas import DataFrame

    # Objects are written as they are: a missing count must not turn the others into 5.0.
    frame = DataFrame([_row(sheet, line) for line in sheet.lines], dtype=object)
    return frame.to_csv(index=False, lineterminator="\n")


def _row(sheet: Sheet, line: Line) -> dict[str, Any]:
    said = {
        "table": sheet.table,
        "row": line.name,
        "label": line.label,
        "group": line.group,
        "available": line.available,
        "scored": line.available and line.unscored is None,
        **_fields(line.published, "published", ("value", "spread", "meaning", "n", "protocol", "source")),
        **_measured(line.measured, ""),
        **_compared(line.measured),
        "margin": sheet.margin,
        **_fields(line.verdict, "verdict", ("word", "reason")),
    }
    for metric in COST_METRICS:
        cost = line.costs.get(metric)
        said |= _fields(cost, metric, ("published", "derived")) | _fields(cost and cost.verdict, metric, ("word",))
    said |= _fields(line.training, "training_flops", ("own", "whole"))
    if "ensemble" in sheet.columns:
        said |= _fields(line.ensemble, "ensemble", ("size", "published", "count", "mean", "sd", "difference"))
    return said | (_measured(line.smaller, f"{sheet.smaller}_") if sheet.smaller else {})


def _measured(measured: Sequence[Measured], prefix: str) -> dict[str, Any]:
    said = {f"{prefix}{key}": getattr(measured[0], key) if measured else None for key in ("planned", "diverged")}
    for protocol in BOTH:
        found = next((m for m in measured if m.protocol == protocol), None)
        said[f"{prefix}{protocol}_n"] = found and len(found.values)
        said |= _fields(found, f"{prefix}{protocol}", ("mean", "sd"))
    return said


def _compared(measured: Sequence[Measured]) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for protocol in BOTH:
        found = next((m for m in measured if m.protocol == protocol), None)
        said |= _fields(found, protocol, ("difference",)) | _fields(found and found.verdict, protocol, ("h90", "h95"))
    return said


def _fields(value: object, prefix: str, names: Sequence[str]) -> dict[str, Any]:
    """Some fields of a value as columns, all empty where there is no value."""
    return {f"{prefix}_{name}": getattr(value, name, None) for name in names}
