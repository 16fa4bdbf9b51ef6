"""Recipes × seeds → runs with keys and ids. Planning needs no data on disk and imports no torch.

A run's **key** is a hash of what the recipe says of it, its seed, its profile, the keys of what it takes from and the
fingerprint of its data. Its **id** adds the versions of the components that it uses. Neither contains a path, a label,
a table's name, what is published or assumed, nor anything that should not move the result beyond noise.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from bench import registry
from bench.errors import UsageError
from bench.metrics import ERROR
from bench.profiles import SMOKE_SEEDS, Profile, apply_profile
from bench.recipe import Data, Library, Ref, Row, Stage, Table
from bench.recipe.model import INITIAL, teacher_edge
from bench.schema import nearest

Kind = Literal["train", "synthesise", "evaluate"]


@dataclass(frozen=True, eq=False)
class Run:
    """One node, for one seed; ``name`` is for people and no part of its identity.

    ``sources`` are the runs that it takes artifacts from, by the name of the edge. An evaluation has an ``ensemble``,
    the number of networks whose outputs are averaged: its sources are the seeds of a row, whose last ``stage`` is its
    own, and its ``seed`` is 0; or a chain of teachers. Or it is of ``fidelity``: its sources are the ``student``,
    whose ``stage`` is its own, and the ``teacher``, if there is one.
    """

    name: str
    profile: Profile
    seed: int
    stage: Stage
    sources: Mapping[str, "Run"] = field(default_factory=dict)
    ensemble: int | None = None
    fidelity: bool = False

    @property
    def kind(self) -> Kind:
        """What carrying it out does."""
        if self.ensemble or self.fidelity:
            return "evaluate"
        return "synthesise" if self.stage.synthesises else "train"

    @property
    def teachers(self) -> "list[Run]":
        """The runs whose networks teach, or the one that is the source of images."""
        if self.kind == "evaluate":
            return []
        return [self.sources[teacher_edge(i)] for i in range(len(self.stage.teachers))]

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """What the recipe says of this run, resolved: plain values, ready for JSON."""
        fields = self.stage.identity
        if self.kind == "evaluate":
            measured = {"ensemble": self.ensemble} if self.ensemble else {"fidelity": True}
            if self.ensemble and "metric" in fields:
                measured["metric"] = fields["metric"]
            fields = {"data": {key: fields["data"][key] for key in _tested(self.stage.data)}, **measured}
        return {"kind": self.kind, **fields}

    @cached_property
    def key(self) -> str:
        """Stands for what was asked for."""
        return key_of(self.recipe, self.profile, self.seed, {edge: run.key for edge, run in self.sources.items()})

    @cached_property
    def versions(self) -> dict[str, int]:
        """The version of every component that this run uses."""
        stage = self.stage
        common = {
            "engine": registry.ENGINE_VERSION,
            "data": registry.DATA_VERSION,
            f"set {stage.data.set}": registry.SETS[stage.data.set].version,
        }
        # What is added to these had its default in every run that had no such entry.
        if stage.metric != ERROR and not self.fidelity:
            common[f"metric {stage.metric.known_as}"] = stage.metric.version
        if self.kind == "evaluate":
            return common
        chosen = {} if stage.initial == INITIAL else {f"initial {stage.initial}": registry.ENGINE_VERSION}
        if not stage.schedule.decay.flat:
            chosen[f"decay {stage.schedule.decay.known_as}"] = stage.schedule.decay.version
        chosen |= {f"weights {own.known_as}": own.version for own in stage.weights if own is not None}
        return {
            **common,
            f"method {stage.method.known_as}": stage.method.version,
            f"optimizer {stage.optimizer.known_as}": stage.optimizer.version,
            **{f"network {network.known_as}": network.version for network in stage.networks},
            **chosen,
        }

    @cached_property
    def id(self) -> str:
        """Stands for what the code of today makes of it; begins with the profile."""
        return id_of(self.key, self.profile, self.versions, {edge: run.id for edge, run in self.sources.items()})


@dataclass(frozen=True)
class Graph:
    """All runs of a plan by key, sources before what takes from them; the runs behind each row, and its ensembles.

    ``fidelities`` are evaluations by row and seed, of the row's own network and of its baseline's. They are no part of
    the plan's ``runs``, since nothing is trained for their sake: they are carried out where logits are at hand.
    """

    runs: dict[str, Run] = field(default_factory=dict)
    rows: dict[tuple[str, str], dict[int, Run]] = field(default_factory=dict)
    ensembles: dict[tuple[str, str], tuple[Run, ...]] = field(default_factory=dict)
    fidelities: dict[tuple[str, str], dict[int, tuple[Run, Run | None]]] = field(default_factory=dict)
    priority: dict[str, float] = field(default_factory=dict)

    def by_priority(self) -> list[Run]:
        """The runs by the recipes' ``priority``, highest first, each source just before the first that needs it."""
        ordered: dict[str, Run] = {}

        def add(run: Run) -> None:
            if run.key not in ordered:
                for source in run.sources.values():
                    add(source)
                ordered[run.key] = run

        for run in sorted(self.runs.values(), key=lambda r: (-self.priority[r.key], r.seed)):
            add(run)
        return list(ordered.values())

    def part_of(self, *runs: Run) -> "Graph":
        """What some runs need, and where they are runs of a row, the evaluations of their fidelity."""
        keys = {run.key for run in runs}
        rows = {
            place: own
            for place, by_seed in self.rows.items()
            if (own := {seed: one for seed, one in by_seed.items() if one.key in keys})
        }
        fidelities = {
            place: {seed: self.fidelities[place][seed] for seed in own}
            for place, own in rows.items()
            if place in self.fidelities
        }
        needed = {one.key: one for run in runs for one in with_sources(run)}
        return Graph(needed, rows, {}, fidelities, self.priority)


def plan(
    library: Library,
    tables: Iterable[str],
    profile: Profile,
    *,
    rows: Iterable[str] = (),
    seeds: Iterable[int] = (),
) -> Graph:
    """The graph of some tables, or of just some of their rows and seeds.

    Args:
        library: all recipes, since a row may take from another table's.
        tables: names of tables.
        profile: a size, as in :func:`bench.profiles.apply_profile`.
        rows: names of rows; none means all.
        seeds: seeds to keep; none means all that the row names (the first two in the smoke profile).

    Raises:
        UsageError: a table, row or seed that no recipe has, or a row by name that waits.
    """
    planner = _Planner(library, profile)
    wanted, kept, chosen = set(rows), set(seeds), [library.table(name) for name in tables]
    _check(wanted, {name for table in chosen for name in table.rows}, "row")
    _check(kept, {seed for table in chosen for row in table.rows.values() for seed in row.seeds}, "seed")
    for table in chosen:
        for row in table.rows.values():
            if row.waits and row.name in wanted:
                raise UsageError(f"row {row.name!r} of {table.name} waits: {row.waits}")
            if row.stages and (not wanted or row.name in wanted):
                planner.add_row(table, row, kept)
    return planner.graph


def _check(asked: set[Any], known: set[Any], noun: str) -> None:
    for name in asked - known:
        raise UsageError(f"no {noun} {name!r}; {nearest(str(name), map(str, known))}")


class _Planner:
    def __init__(self, library: Library, profile: Profile) -> None:
        self.library, self.profile = library, profile
        self.graph = Graph()
        # By the stage itself: two stages may say the same, or stand on one line.
        self.made: dict[tuple[int, int, int | None], Run] = {}
        self.resized: dict[int, Stage] = {}

    def add_row(self, table: Table, row: Row, kept: set[int]) -> None:
        seeds = row.seeds[:SMOKE_SEEDS] if self.profile.startswith("smoke") else row.seeds
        runs: dict[int, Run] = {}
        for seed, priority in zip(row.seeds, row.priority, strict=True):
            if seed in (kept or seeds):
                runs[seed] = self.run(row.stages[-1], f"{table.name}/{row.name}", seed, row.sources.get(seed))
                self._raise_priority(runs[seed], priority)
        if runs:
            self.graph.rows[table.name, row.name] = runs
        if "ensemble" in table.columns and row.nets > 1 and runs.keys() == set(seeds):
            self._add_ensembles(table, row, [self._ensemble_of_seeds(table, row, runs)])
        if row.generations > 1:
            self._add_ensembles(table, row, [self._ensemble_of_generations(row, run) for run in runs.values()])
        if "fidelity" in table.columns:
            self.graph.fidelities[table.name, row.name] = {
                seed: (_fidelity(run, run), self._baseline(row, run)) for seed, run in runs.items()
            }

    def _baseline(self, row: Row, run: Run) -> Run | None:
        """The fidelity to the run's teacher of the network of its seed that was trained alone."""
        if row.baseline is None or run.seed not in self.library.row(row.baseline).seeds:
            return None
        # Planned apart: it is no run of this plan unless a row of the plan says so.
        alone = _Planner(self.library, self.profile)._source(row.baseline, run.name, run.seed, None)
        return _fidelity(alone, run)

    def _add_ensembles(self, table: Table, row: Row, ensembles: Iterable[Run]) -> None:
        kept = self.graph.ensembles[table.name, row.name] = tuple(self._kept(run) for run in ensembles)
        for run in kept:
            self.graph.priority[run.key] = min(row.priority)

    def _ensemble_of_generations(self, row: Row, run: Run) -> Run:
        """An evaluation of a network together with those that taught it in turn, numbered from the first one."""
        chain = [run]
        while len(chain) < row.generations:
            chain.append(chain[-1].sources["teacher"])
        members = {str(number): member for number, member in enumerate(reversed(chain), 1)}
        return Run(run.name, self.profile, run.seed, run.stage, members, len(members))

    def _ensemble_of_seeds(self, table: Table, row: Row, runs: dict[int, Run]) -> Run:
        """An evaluation over all seeds of a row, in ensembles of as many networks as the published one.

        Where the paper has one source for all its networks, over the seeds that share the first seed's.
        """
        last, first = next(iter(runs.values())), row.sources.get(row.seeds[0])
        members = {str(seed): run for seed, run in runs.items() if row.sources.get(seed) == first}
        size = min(row.nets, len(members))
        return Run(f"{table.name}/{row.name}", self.profile, 0, last.stage, members, size)

    def run(self, stage: Stage, name: str, seed: int, source: int | None) -> Run:
        """The run of a stage for a seed of its row, and for the ``source`` of that seed, where the row names some."""
        seed = _number(stage.seed, seed, source)
        if (id(stage), seed, source) not in self.made:
            sources = {edge: self._source(ref, name, seed, source) for edge, ref in stage.edges.items()}
            self.made[id(stage), seed, source] = self._kept(Run(name, self.profile, seed, self._under(stage), sources))
        return self.made[id(stage), seed, source]

    def _under(self, stage: Stage) -> Stage:
        """The stage as the profile carries it out, the same one for all seeds: what it says is worked out once."""
        if id(stage) not in self.resized:
            self.resized[id(stage)] = apply_profile(stage, self.profile)
        return self.resized[id(stage)]

    def _source(self, ref: Ref, name: str, seed: int, source: int | None) -> Run:
        stage, row = self.library.stage(ref), self.library.row(ref)
        place = f"{ref.table}/{ref.row}"
        seed = _number(ref.seed, seed, source)
        # An earlier stage of the same row has its source; another row has sources of its own.
        if name.partition(".")[0] != place:
            source = row.sources.get(seed)
        return self.run(stage, place + ("" if stage is row.stages[-1] else f".{stage.name}"), seed, source)

    def _kept(self, run: Run) -> Run:
        """Two rows that say the same are one run: the first one's name is shown."""
        self.graph.priority.setdefault(run.key, 0.0)
        return self.graph.runs.setdefault(run.key, run)

    def _raise_priority(self, run: Run, priority: float) -> None:
        """A source is worth no less than what takes from it; where it is worth that already, so are its own."""
        if self.graph.priority[run.key] < priority:
            self.graph.priority[run.key] = priority
            for source in run.sources.values():
                self._raise_priority(source, priority)


def _tested(data: Data) -> dict[str, Any]:
    """What of a stage's data says which images it is tested on: those held out are a part of the training images."""
    return {key: getattr(data, key) for key in (("set", "train", "validation") if data.validation else ("set", "test"))}


def _fidelity(student: Run, taught: Run) -> Run:
    """The evaluation of a student beside the first teacher of the run that was ``taught``, on the same test images."""
    sources, teacher = {"student": student}, taught.sources.get("teacher")
    if teacher is not None and _tested(teacher.stage.data) == _tested(student.stage.data):
        sources["teacher"] = teacher
    return Run(f"{student.name} fidelity", student.profile, student.seed, student.stage, sources, fidelity=True)


def with_sources(run: Run) -> list[Run]:
    """A run and all that it takes from, each once, sources first."""
    ordered: dict[str, Run] = {}
    # No recursion: a chain may be long.
    ahead = [run]
    while ahead:
        missing = [source for source in ahead[-1].sources.values() if source.key not in ordered]
        if not missing:
            run = ahead.pop()
            ordered[run.key] = run
        ahead += reversed(missing)
    return list(ordered.values())


def followers(lacks: Mapping[str, Collection[str]]) -> dict[str, list[str]]:
    """For each source that some runs lack, these runs: the edges the other way round, all by key."""
    found: dict[str, list[str]] = {}
    for key, lacking in lacks.items():
        for source in lacking:
            found.setdefault(source, []).append(key)
    return found


def key_of(recipe: Mapping[str, Any], profile: str, seed: int, sources: Mapping[str, str]) -> str:
    """The key of a run, from what its recipe says (plain values) and from the keys of what it takes from."""
    fingerprint = registry.SETS[recipe["data"]["set"]].fingerprint
    return _hash(
        {"recipe": recipe, "profile": profile, "seed": seed, "fingerprint": fingerprint, "sources": dict(sources)}
    )


def id_of(key: str, profile: str, versions: Mapping[str, int], sources: Mapping[str, str]) -> str:
    """The id of a run, from its key, the versions of its components and the ids of what it takes from."""
    return f"{profile}-{_hash({'key': key, 'versions': dict(versions), 'sources': dict(sources)})}"


def _number(said: int | str | None, seed: int, source: int | None) -> int:
    """The seed that a stage or an edge names: one of its own, that of the row, or the row's ``source``."""
    if said == "source":
        assert source is not None, "the reader lets no 'source' pass without 'sources'"
        return source
    return seed if said is None else int(said)


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
