"""The complete report, for programs: as ``docs/report.schema.json`` describes it."""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from bench.component import Component
from bench.report.model import Report
from bench.text import visible_json

# Raised when a key goes, or means something else; keys that are added leave it as it is.
SCHEMA = 1
# Errors and what is made of them; costs, which are whole FLOPs (of 1e8) and parameters (of 1e6); probabilities.
DECIMALS, COST_DECIMALS, SIGNIFICANT_DIGITS = 4, 8, 3
PROBABILITIES = ("p", "holm")


def to_json(report: Report) -> str:
    """The complete report as one JSON object; numbers that are not exact are rounded to what they mean."""
    values = {"schema": SCHEMA, **_plain(report, "", DECIMALS)}
    return visible_json(json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False)) + "\n"


def _plain(value: Any, name: str, decimals: int) -> Any:
    if isinstance(value, Component):
        return value.name
    if is_dataclass(value):
        value = {f.name: getattr(value, f.name) for f in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(v, str(key), COST_DECIMALS if key == "costs" else decimals) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, name, decimals) for item in value]
    if isinstance(value, float):
        # A zero has no sign.
        return float(f"{value:.{SIGNIFICANT_DIGITS}g}") if name in PROBABILITIES else round(value, decimals) + 0.0
    return value
