"""The footnotes of a report: their numbers, and what must be said of a row, of its runs and of its costs."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any

from bench import schema
from bench.component import Component
from bench.recipe import Cell, Ref, Row, Schedule
from bench.recipe.model import STAGE_KEYS
from bench.report.cells import Samples
from bench.report.model import CostCell
from bench.report.sources import Sources
from bench.schema import Distances

CACHED = {True: "a teacher whose answers were kept", False: "a teacher that answered in every step"}


class Footnotes:
    """The footnotes of one table, numbered in order of first use, each text once."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def mark(self, texts: Iterable[str]) -> tuple[int, ...]:
        """The numbers of some texts, which are added where they are new."""
        return tuple(self._numbers.setdefault(text, len(self._numbers) + 1) for text in texts)

    @property
    def texts(self) -> tuple[str, ...]:
        """All of them; the first has number 1."""
        return tuple(self._numbers)


def label_notes(row: Row) -> Iterator[str]:
    """Why a row cannot be read; what its recipe assumes, where it deviates, and what else it says."""
    if row.unreadable:
        yield row.unreadable
    if row.stages and row.stages[-1].data.validation:
        yield "measured on the training images that are held out (validation), not on the test set"
    for path, reason in row.assumed.items():
        yield assumption(path, reason, [row])
    yield from (f"deviation: {text}" for text in row.deviations)
    yield from row.notes


def published_notes(cell: Cell | None) -> Iterator[str]:
    """The single networks behind a published mean, and what the recipe says of it."""
    if cell is not None and cell.nets:
        yield f"nets: {', '.join(f'{net:.2f}' for net in cell.nets)}"
    if cell is not None and cell.note:
        yield cell.note


def cost_notes(row: Row, metric: str, cost: CostCell) -> Iterator[str]:
    """Why a published cost is inconsistent, and what the recipe says of it."""
    if cost.verdict is not None and cost.verdict.word == "inconsistent":
        yield cost.verdict.reason
    if metric in row.published and (note := row.published[metric].note):
        yield note


def run_notes(samples: Samples) -> Iterator[str]:
    """What a reader must know of the runs behind one cell: older versions, mixed precision, different sources."""
    old = [sample for sample in samples.recorded if sample.record.id != sample.run.id]
    if old:
        changed = {
            name
            for sample in old
            for name, version in sample.run.versions.items()
            if sample.record.versions.get(name) != version
        }
        runs = f"{len(old)} of {len(samples.recorded)} runs {'was' if len(old) == 1 else 'were'}"
        yield f"{runs} made by an older version of {', '.join(sorted(changed)) or 'a run that they take from'}"
    records = [sample.record for sample in samples.recorded]
    for word, reached in (
        ("in", {record.precision for record in records}),
        ("on", {record.device for record in records}),
        ("with", {CACHED[record.teacher_cached] for record in records if record.teacher_cached is not None}),
    ):
        if len(reached) > 1:
            yield f"runs {word} {' and '.join(sorted(reached))}"
    for edge, noun in (("teacher", "teachers"), ("init", "initial weights"), ("transfer_set", "transfer sets")):
        if _inputs_differ(samples, edge):
            yield f"the runs saw different {noun}: what the recipe names was made more than once"


def source_note(sources: Sources) -> str | None:
    """What the runs of a cell share, where that makes its verdict conditional."""
    if not sources.single:
        return None
    return f"all runs take from {' and '.join(sources.names)}, whose own spread no interval here can have"


def smaller_notes(row: Row, samples: Samples) -> Iterator[str]:
    """The same of a reduced profile, which may have been run on a stand-in."""
    yield from run_notes(samples)
    stated = row.stages[-1].data.set
    used = sorted({sample.run.stage.data.set for sample in samples.recorded} - {stated})
    if used:
        yield f"made on {', '.join(used)}, a stand-in for {stated}"


def _inputs_differ(samples: Samples, edge: str) -> bool:
    """Whether runs that name the same source took artifacts of different bytes.

    ``edge`` may be one of several, as ``teacher.2`` is.
    """
    digests: dict[str, set[str]] = {}
    for sample in samples.recorded:
        for name, source in sample.run.sources.items():
            if name.partition(".")[0] == edge and name in sample.record.taken:
                digests.setdefault(source.key, set()).add(sample.record.taken[name]["artifact"])
    return any(len(seen) > 1 for seen in digests.values())


def assumption(path: str, reason: str, rows: Iterable[Row]) -> str:
    """``schedule.batch = 128 (assumed): reason``; the value is left out where these rows do not share one.

    A row's stages have what is trained, the row what is published and reported.
    """
    owners = [owner for row in rows for owner in (*row.stages, row)]
    values = {text for owner in owners if (text := _text(_resolve(owner, path))) is not None}
    return f"{path} = {values.pop()} (assumed): {reason}" if len(values) == 1 else f"{path} (assumed): {reason}"


def _resolve(owner: object, path: str) -> Any:
    """What a recipe's dotted path stands for in a resolved stage or in a row, or None."""
    head, *tail = path.split(".")
    if head == "words":
        head, tail = "method", ["words"]
    value = getattr(owner, STAGE_KEYS.get(head, head), None)
    for name in tail:
        if isinstance(value, tuple):
            # A stage in full precision has no weights to tell of.
            value = next(iter(value), None)
        # A component may be spelled out (optimizer.sgd.weight_decay) or not (method.temperature).
        if isinstance(value, Component) and name == value.name:
            continue
        if isinstance(value, Schedule) and name in schema.names(value.decay):
            value = value.decay
        value = value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
    return value


def _text(value: Any) -> str | None:
    if isinstance(value, Ref):
        stage = f".{value.stage}" if value.stage else ""
        return f"{value.table}/{value.row}{stage}#{'same' if value.seed is None else value.seed}"
    if isinstance(value, Component):
        params = ", ".join(f"{key}={_text(item)}" for key, item in value.params.items())
        return f"{value.name}({params})" if params else value.name
    if isinstance(value, Distances):
        return value.file.name
    if isinstance(value, tuple):
        return ", ".join(str(_text(item)) for item in value) or None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return None if value is None or is_dataclass(value) else str(value)
