"""The survey's tables from the recipes: the four stages of each work, where it stands here, and its number."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields

from bench.graph import plan
from bench.methods.base import Method
from bench.networks.base import Network
from bench.recipe import Data, Library, Row, Stage, Stages, Subset, Work
from bench.store import Store

MOST_LISTED = 4


@dataclass(frozen=True)
class Surveyed:
    """A row of the survey beside what recipes make of it.

    Args:
        table: of the survey.
        name: the work's number there.
        work: what the survey says.
        here: the stages of the rows that stand for it; None where none can be trained.
        rows: these rows, as ``table/row``; those that wait too.
        planned: their runs of the paper profile.
        done: how many of those have a record.
    """

    table: str
    name: str
    work: Work
    here: Stages | None
    rows: tuple[str, ...]
    planned: int
    done: int

    @property
    def standing(self) -> str:
        """``runs``, or why not: ``other domain``, ``needs data``, ``waits`` or ``no recipe``."""
        if self.here is not None:
            return "runs"
        return "waits" if self.rows else self.work.standing or "no recipe"


def surveyed(library: Library, store: Store) -> list[Surveyed]:
    """Every work of the survey, in the order of its tables."""
    rows: dict[str, list[tuple[str, Row]]] = {}
    for table in library.tables.values():
        for row in table.rows.values():
            if row.survey is not None:
                rows.setdefault(row.survey, []).append((table.name, row))
    return [
        _surveyed(library, store, table, name, work, rows.get(name, []))
        for table, works in library.survey.tables.items()
        for name, work in works.items()
    ]


def _surveyed(
    library: Library, store: Store, table: str, name: str, work: Work, rows: Sequence[tuple[str, Row]]
) -> Surveyed:
    trained = [row for _, row in rows if row.stages]
    runs = [
        run
        for place, row in rows
        if row.stages
        for run in plan(library, [place], "paper", rows=[row.name]).rows[place, row.name].values()
    ]
    return Surveyed(
        table=table,
        name=name,
        work=work,
        here=stages_of(library, trained) if trained else None,
        rows=tuple(f"{place}/{row.name}" for place, row in rows),
        planned=len(runs),
        done=sum(store.current_record(run) is not None for run in runs),
    )


def stages_of(library: Library, rows: Iterable[Row]) -> Stages:
    """The four stages of some rows in words; what several of them say is said once.

    Of stages that are taught, where there are any: others are there to be compared with, or come before.
    """
    stages = [stage for row in rows for stage in row.stages]
    taught = [stage for stage in stages if _distils(stage)] or stages
    last = [row.stages[-1] for row in rows if _distils(row.stages[-1])] or taught
    return Stages(
        data=_listed([*_partitions(last), *(text for stage in last for text in _modifications(library, stage))]),
        teacher=_listed(_teacher(library, stage) for stage in taught),
        knowledge=_listed(stage.method.distilled.kind for stage in taught if isinstance(stage.method, Method)),
        method=_listed(text for stage in taught for text in _method(library, stage)),
        student=_listed(_student(library, stage) for stage in last),
    )


def _distils(stage: Stage) -> bool:
    return bool(stage.teachers) or len(stage.networks) > 1


def _listed(texts: Iterable[str], mark: str = "; ") -> str:
    """Each text once; of many the first ones."""
    distinct = list(dict.fromkeys(text for text in texts if text))
    more = [f"{len(distinct) - MOST_LISTED} more"] if len(distinct) > MOST_LISTED else []
    return mark.join([*distinct[:MOST_LISTED], *more]) or "-"


def _partitions(stages: Sequence[Stage]) -> Iterator[str]:
    """What of each set is trained on, for example ``cifar10: all, 2 %``."""
    for name in dict.fromkeys(stage.data.set for stage in stages):
        parts = _listed((_part(stage.data.train) for stage in stages if stage.data.set == name), ", ")
        yield f"{name}: {parts}"


def _modifications(library: Library, stage: Stage) -> Iterator[str]:
    """What is done to the images before a network sees them."""
    data = stage.data
    if stage.transfer_set is not None:
        yield f"images made by {library.stage(stage.transfer_set).method.name}"
    for f in fields(Data):
        # What was added to a recipe's data after the first ones is there to modify or part them.
        if f.default is None and (value := getattr(data, f.name)) is not None:
            yield f"{f.name}: {_part(value) if isinstance(value, Subset) else value}"


def _part(part: object) -> str:
    if not isinstance(part, Subset):
        return "all"
    return f"{part.per_class} images a class" if part.per_class else f"{100 * (part.fraction or 0):.4g} %"


def _teacher(library: Library, stage: Stage) -> str:
    if not stage.teachers:
        return f"{len(stage.networks)} peers" if len(stage.networks) > 1 else "none"
    networks = _listed(_described(library.stage(ref).networks[0]) for ref in stage.teachers)
    count = len(stage.teachers)
    return f"one, {networks}" if count == 1 else f"{count} together, {networks}"


def _method(library: Library, stage: Stage) -> Iterator[str]:
    """Where knowledge is taken, and how it comes to the student."""
    if isinstance(stage.method, Method):
        yield from (stage.method.distilled.location, stage.method.distilled.transfer)
    if len(stage.teachers) > 1:
        yield "aggregated"
    if any(library.stage(ref).teachers for ref in stage.teachers):
        yield "sequential"


def _student(library: Library, stage: Stage) -> str:
    own = stage.networks[0]
    if len(stage.networks) > 1:
        return f"{len(stage.networks)} together, {_listed(map(_described, stage.networks))}"
    taught = [library.stage(ref).networks[0] for ref in stage.teachers]
    if not taught:
        kind = ""
    elif all(network == own for network in taught):
        kind = ", like the teacher"
    else:
        kind = ", of the teacher's kind" if any(n.name == own.name for n in taught) else ", of another kind"
    begins = f", initialised by {stage.init.stage or stage.init.row}" if stage.init else ""
    return f"one, {_described(own)}{kind}{begins}"


def _described(network: Network) -> str:
    """For example ``wrn (40, 2)``."""
    return f"{network.name} ({', '.join(map(str, network.params.values()))})"


def to_plain(entry: Surveyed) -> dict[str, object]:
    """All of an entry as plain values, for programs."""
    return {**asdict(entry), "standing": entry.standing}
