"""Everything that a table assumes or does otherwise, with the rows that it holds for."""

from dataclasses import dataclass
from typing import Literal

from bench.recipe import Table
from bench.report.footnotes import assumption

Kind = Literal["assumption", "deviation"]


@dataclass(frozen=True)
class Statement:
    """One of them; no ``rows`` means every row. ``rows`` are labels with their groups."""

    kind: Kind
    text: str
    rows: tuple[str, ...] = ()


def statements(table: Table) -> tuple[Statement, ...]:
    """Those of every row first, then those of some rows, each once."""
    whole = [
        *(
            Statement("assumption", assumption(path, reason, table.rows.values()))
            for path, reason in table.assumed.items()
        ),
        *(Statement("deviation", text) for text in table.deviations),
    ]
    of_rows: dict[tuple[Kind, str], list[str]] = {}
    for row in table.rows.values():
        label = f"{row.label} ({row.group})" if row.group else row.label
        for path, reason in row.assumed.items():
            of_rows.setdefault(("assumption", assumption(path, reason, [row])), []).append(label)
        for text in row.deviations:
            of_rows.setdefault(("deviation", text), []).append(label)
    return (*whole, *(Statement(kind, text, tuple(rows)) for (kind, text), rows in of_rows.items()))
