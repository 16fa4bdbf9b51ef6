"""The survey's tables as text, Markdown, CSV and JSON."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from itertools import groupby

from bench.recipe import Stages
from bench.report.columns import ABSENT
from bench.report.formats import markdown, text
from bench.report.layout import Entry, Grid, Listing, Page
from bench.report.survey import Surveyed, to_plain
from bench.text import in_a_spreadsheet, visible, visible_json

TITLE = "The survey's tables, from the recipes"
HEADERS = ("Objective", "Work", "Data", "Teacher", "Knowledge, and its transfer", "Student", "Here", "Stated")
COLUMNS = ("group", "label", "data", "teacher", "knowledge", "student", "here", "stated")
LEGEND = (
    "A line is what the survey says; one that begins with an arrow is what the recipes that stand for the work say.",
    "Knowledge: what is distilled; then where in the networks, and how it comes to the student.",
    "Here: the tables of the rows that stand for a work, and how many of their runs of the paper profile are done; or"
    " what it waits for. `kdbench report TABLE` has their numbers beside the published ones.",
    "Stated: the number that the survey or the paper has; from where, and how certain it is, stands under Sources.",
)


def to_text(paper: str, entries: Sequence[Surveyed], width: int | None = None) -> str:
    """For a terminal of so many columns; None is as many as it takes."""
    return text.write(_page(paper, entries), width)


def to_markdown(paper: str, entries: Sequence[Surveyed]) -> str:
    """As GitHub shows it."""
    return markdown.write(_page(paper, entries))


def to_json(paper: str, entries: Sequence[Surveyed]) -> str:
    """Everything, for programs."""
    values = {"paper": paper, "works": [to_plain(entry) for entry in entries]}
    return visible_json(json.dumps(values, indent=1, ensure_ascii=False)) + "\n"


def to_csv(paper: str, entries: Sequence[Surveyed]) -> str:
    """A line for each row of the survey."""
    stream = io.StringIO()
    stages = [f"{whose}_{f.name}" for whose in ("says", "here") for f in fields(Stages)]
    after = ("sets", "number", "source", "standing", "waits", "rows", "planned", "done")
    columns = ("table", "work", "cites", "objective", *stages, *after)
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    for entry in entries:
        plain = asdict(entry.work)
        line = {key: plain[key] for key in ("cites", "objective", "sets", "number", "source", "waits")}
        line |= {f"says_{key}": value for key, value in plain["says"].items()}
        line |= {f"here_{key}": value for key, value in (asdict(entry.here) if entry.here else {}).items()}
        line |= {"table": entry.table, "work": entry.name, "standing": entry.standing, "rows": " ".join(entry.rows)}
        shown = {key: _cell(value) for key, value in line.items()}
        writer.writerow({**shown, "planned": entry.planned, "done": entry.done})
    return stream.getvalue()


def _cell(value: str | None) -> str:
    return "" if value in (None, ABSENT) else in_a_spreadsheet(visible(value))


def _page(paper: str, entries: Sequence[Surveyed]) -> Page:
    headers = tuple(Entry((header,)) for header in HEADERS)
    first, *others = (
        Grid(table, COLUMNS, headers, tuple(map(_row, works)))
        for table, works in groupby(entries, lambda entry: entry.table)
    )
    sources = tuple(f"[{entry.name}] {entry.work.cites}: {entry.work.source}" for entry in entries)
    return Page(TITLE, paper, (), first, (*others, Listing("How to read it", LEGEND), Listing("Sources", sources)))


def _row(entry: Surveyed) -> tuple[Entry, ...]:
    work, here = entry.work, entry.here

    def stage(*names: str) -> Entry:
        said = [getattr(work.says, name) for name in names]
        ours = [f"→ {getattr(here, name)}" for name in names] if here else []
        return Entry((*said, *ours))

    return (
        Entry((work.objective,)),
        Entry((f"[{entry.name}]",)),
        Entry((*stage("data").lines, f"({work.sets})")),
        stage("teacher"),
        stage("knowledge", "method"),
        stage("student"),
        Entry(tuple(_here(entry))),
        Entry((work.number,)),
    )


def _here(entry: Surveyed) -> list[str]:
    if entry.standing == "runs":
        tables = groupby(entry.rows, lambda row: row.partition("/")[0])
        counted = [f"{table} ({n} row{'s' if n > 1 else ''})" for table, rows in tables if (n := len(list(rows)))]
        return [f"runs: {', '.join(counted)}", f"{entry.done}/{entry.planned} done"]
    return [f"{entry.standing}: {entry.work.waits}" if entry.work.waits else entry.standing]
