"""What of a plan is to be carried out: what is missing, with the sources whose weights it needs."""

from collections.abc import Iterable, Sequence

from bench.graph import Graph, Run
from bench.store import Store


def todo(runs: Iterable[Run], store: Store, *, retry_diverged: bool = False) -> list[Run]:
    """The runs to carry out, sources first: those without a record, and the sources whose weights they need.

    A run that diverged has a record; it is tried again only when asked, and what needs its weights waits for that
    (:func:`left_out`). A source whose weights are gone is trained again, as a replica.
    """
    choice = _Choice(store, retry_diverged)
    return with_missing_sources([run for run in runs if choice.is_missing(run) and not choice.hindrance(run)], store)


def with_missing_sources(runs: Iterable[Run], store: Store) -> list[Run]:
    """The runs, done or not, each after the sources whose weights it needs and that are gone."""
    ordered: dict[str, Run] = {}

    def add(run: Run) -> None:
        if run.key not in ordered:
            for source in run.sources.values():
                if store.available_artifact(source) is None:
                    add(source)
            ordered[run.key] = run

    for run in runs:
        add(run)
    return list(ordered.values())


def recorded_seconds(run: Run, store: Store) -> float | None:
    """What a run took, by its record; None where it has none that is done."""
    record = store.current_record(run)
    return record.seconds if record is not None and record.status == "done" else None


def measurable(graph: Graph, runs: Sequence[Run], store: Store) -> list[Run]:
    """The evaluations of fidelity without a record that need no training beyond ``runs``: none is for their sake."""
    to_come = {run.key for run in runs}
    every = (run for rows in graph.fidelities.values() for pair in rows.values() for run in pair if run is not None)
    return [
        run
        for run in {run.key: run for run in every}.values()
        if store.current_record(run) is None
        and all(
            source.key in to_come or store.available_artifact(source) is not None for source in run.sources.values()
        )
    ]


def left_out(runs: Iterable[Run], store: Store, *, retry_diverged: bool = False) -> list[tuple[Run, str]]:
    """The runs without a record that cannot be carried out, for want of what diverged, and why."""
    choice = _Choice(store, retry_diverged)
    return [(run, why) for run in runs if choice.is_missing(run) and (why := choice.hindrance(run))]


def obstacle(run: Run, planned: int, store: Store) -> str | None:
    """Why a run cannot or need not be carried out now, seen with its lock in hand."""
    store.refresh(run, *run.sources.values())
    if store.replica(run) != planned:
        return "another process has trained it meanwhile"
    for edge, source in run.sources.items():
        if store.available_artifact(source) is None:
            state = _retry(source) if _diverged(source, store) else "is not trained yet"
            return f"its {_source(run, edge, source, state)}"
    return None


class _Choice:
    """Which runs are missing, and which of them cannot be carried out; each is looked at once."""

    def __init__(self, store: Store, retry_diverged: bool) -> None:
        self.store, self.retry_diverged = store, retry_diverged
        self.hindrances: dict[str, str | None] = {}

    def is_missing(self, run: Run) -> bool:
        record = self.store.current_record(run)
        return record is None or (self.retry_diverged and record.status == "diverged")

    def hindrance(self, run: Run) -> str | None:
        """Why a run cannot be carried out, were it missing; None if it can."""
        if run.key not in self.hindrances:
            causes = (self._cause(edge, source) for edge, source in run.sources.items())
            self.hindrances[run.key] = next((f"its {_source(run, *cause)}" for cause in causes if cause), None)
        return self.hindrances[run.key]

    def _cause(self, edge: str, source: Run) -> tuple[str, Run, str] | None:
        if self.store.available_artifact(source) is not None:
            return None
        if not self.retry_diverged and _diverged(source, self.store):
            return edge, source, _retry(source)
        return (edge, source, "is left out too") if self.hindrance(source) else None


def _source(run: Run, edge: str, source: Run, state: str) -> str:
    return f"{'member' if run.ensemble else edge}, {source.name} seed {source.seed}, {state}"


def _diverged(run: Run, store: Store) -> bool:
    record = store.current_record(run)
    return record is not None and record.status == "diverged"


def _retry(run: Run) -> str:
    command = f"kdbench run {run.name.partition('/')[0]} --profile {run.profile} --retry-diverged"
    return f"diverged; `{command}` trains it again"
