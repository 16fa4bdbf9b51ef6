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


def render(report: Report, form: Format, *, slim: bool = False, brief: bool = False, width: int | None = None) -> str:
    """The report in one format, ending with a line break.

    Args:
        report: what to write.
        form: the format.
        slim: for one column of a paper, of LaTeX alone.
        brief: no more than the answer, the claims and the verdicts, as text or Markdown.
        width: columns of a terminal that text has to fit.

    Raises:
        UsageError: another format has no slim or brief form.
    """
    if slim and form != "latex":
        raise UsageError("--slim is for one column of a paper: it needs --format latex")
    if brief and form not in ("text", "markdown"):
        raise UsageError("--brief is for people: it needs --format text or markdown")
    match form:
        case "text":
            return to_text(report, brief=brief, width=width)
        case "markdown":
            return to_markdown(report, brief=brief)
        case "latex":
            return to_latex(report, slim=slim)
        case "csv":
            return to_csv(report)
        case "json":
            return to_json(report)
