"""A report in the format that was asked for."""

from typing import Literal

from bench.errors import UsageError
from bench.report.formats.csv import to_csv
from bench.report.formats.json import to_json
from bench.report.formats.latex import to_latex
from bench.report.formats.markdown import to_markdown
from bench.report.formats.text import to_text
from bench.report.model import Report

Format = Literal["text", "markdown", "latex", "csv", "json"]
FORMATS = {"text": to_text, "markdown": to_markdown, "latex": to_latex, "csv": to_csv, "json": to_json}


def render(report: Report, form: Format, *, slim: bool = False) -> str:
    """The report in one format, ending with a line break; ``slim``, for one column of a paper, is of LaTeX alone.

    Raises:
        UsageError: another format has no slim form.
    """
    if not slim:
        return FORMATS[form](report)
    if form != "latex":
        raise UsageError("--slim is for one column of a paper: it needs --format latex")
    return to_latex(report, slim=True)
