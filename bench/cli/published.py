"""The commands about what was published: what is odd in it, how much of it there is, and the survey of its methods."""

import json
from dataclasses import asdict, astuple
from textwrap import TextWrapper
from typing import Literal

from bench.cli.output import width
from bench.cli.progress import tell_unreadable
from bench.cli.tables import table
from bench.project import Project
from bench.report.audit import Finding
from bench.report.audit import audit as findings_of
from bench.report.coverage import coverage as coverage_of
from bench.report.formats import survey as formats
from bench.report.formats.fit import LINE_WIDTH
from bench.report.survey import surveyed

HEADERS = ("paper", "published", "with verdict", "no runs yet", "no verdict", "waiting", "claims", "tested")
PAPER_WIDTH = 38


def audit(table: str | None, form: Literal["text", "json"]) -> None:
    """Print what the rules find in one table, or in all of them."""
    library = Project.find().library()
    tables = [table] if table else list(library.tables)
    findings = [finding for name in tables for finding in findings_of(library, name)]
    if form == "json":
        print(json.dumps([asdict(finding) for finding in findings], indent=1, ensure_ascii=False))
        return
    for finding in findings:
        print(f"{_told(finding)}\n")
    looked_at = f"{len(tables)} table{'s' if len(tables) > 1 else ''}"
    print(f"{len(findings) or 'nothing'} found in the published numbers of {looked_at}")


def _told(finding: Finding) -> str:
    numbers = ", ".join(f"{name} {number:g}" for name, number in finding.numbers.items())
    sentence = TextWrapper(min(LINE_WIDTH, width() or LINE_WIDTH), initial_indent="  ", subsequent_indent="  ").fill(
        finding.sentence
    )
    return f"{finding.rule}: {finding.cell} ({numbers})\n{sentence}"


def coverage() -> None:
    """Print how many numbers of each paper there are, and how many of them have a verdict."""
    project = Project.find()
    covered = coverage_of(project.library(), project.store(), project.costs())
    print(table(HEADERS, [astuple(paper) for paper in covered], PAPER_WIDTH))


def survey(form: Literal["text", "markdown", "csv", "json"]) -> None:
    """Print the survey's tables."""
    project = Project.find()
    library = project.library()
    tell_unreadable(library, library.tables)
    paper, entries = library.survey.paper, surveyed(library, project.store())
    match form:
        case "text":
            written = formats.to_text(paper, entries, width())
        case "markdown":
            written = formats.to_markdown(paper, entries)
        case "csv":
            written = formats.to_csv(paper, entries)
        case "json":
            written = formats.to_json(paper, entries)
    print(written.rstrip("\n"))
