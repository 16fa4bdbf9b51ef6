"""The complete report, for programs."""

import json
from dataclasses import asdict

from bench.report.model import Report


def to_json(report: Report) -> str:
    """The complete report as one JSON object."""
    return json.dumps(asdict(report), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
