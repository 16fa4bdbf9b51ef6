"""Recipes × seeds → runs with keys and ids. Planning needs no data on disk and imports no torch.

A run's **key** is a hash of what the recipe says of it, its seed, its profile, the keys of what it takes from and the
fingerprint of its data. Its **id** adds the versions of the components that it uses. Neither contains a path, a label,
a table's name, what is published or assumed, nor anything that should not move the result beyond noise.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from bench import registry
from bench.errors import UsageError
from bench.profiles import SMOKE_SEEDS, Profile, apply_profile
from bench.recipe import Library, Ref, Row, Stage, Table
from bench.recipe.model import INITIAL, teacher_edge
from bench.schema import nearest

Kind = Literal["train", "synthesise", "evaluate"]


@dataclass(frozen=True, eq=False)
class Run:
    """One node, for one seed; ``name`` is for people and no part of its identity.

    ``sources`` are the runs that it takes artifacts from, by the name of the edge. An evaluation has an ``ensemble``,
    the number of networks whose outputs are averaged: its sources are the seeds of a row, whose last ``stage`` is its
    own, and its ``seed`` is 0.
    """

    name: str
    profile: Profile
    seed: int
    stage: Stage
    sources: Mapping[str, "Run"] = field(default_factory=dict)
    ensemble: int | None = None

    @property
    def kind(self) -> Kind:
        """What carrying it out does."""
        if self.ensemble:
            return "evaluate"
        return "synthesise" if self.stage.synthesises else "train"

    @property
    def teachers(self) -> "list[Run]":
        """The runs whose networks teach, or the one that is the source of images."""
        return [self.sources[teacher_edge(i)] for i in range(len(self.stage.teachers))] if not self.ensemble else []

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """What the recipe says of this run, resolved: plain values, ready for JSON."""
        fields = self.stage.identity
        if self.ensemble:
            fields = {"data": {key: fields["data"][key] for key in ("set", "test")}, "ensemble": self.ensemble}
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
        if self.ensemble:
            return common
        # What is added to these had its default in every run that had no such entry.
        chosen = {} if stage.initial == INITIAL else {f"initial {stage.initial}": registry.ENGINE_VERSION}
        if not stage.schedule.decay.flat:
            chosen[f"decay {stage.schedule.decay.known_as}"] = stage.schedule.decay.version
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
    """All runs of a plan by key, sources before what takes from them; the runs behind each row, and its ensemble."""

    runs: dict[str, Run] = field(default_factory=dict)
    rows: dict[tuple[str, str], dict[int, Run]] = field(default_factory=dict)
    ensembles: dict[tuple[str, str], Run] = field(default_factory=dict)
    priority: dict[str, float] = field(default_factory=dict)

    def by_priority(self) -> list[Run]:
        """The runs by the recipes' ``priority``, highest first, each source just before the first that needs it."""
        ordered: dict[str, Run] = {}

        def add(run: Run) -> None:
            for source in run.sources.values():
                add(source)
            ordered.setdefault(run.key, run)

        for run in sorted(self.runs.values(), key=lambda r: (-self.priority[r.key], r.seed)):
            add(run)
        return list(ordered.values())


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
        UsageError: a table, row or seed that no recipe has.
    """
    planner = _Planner(library, profile)
    wanted, kept, chosen = set(rows), set(seeds), [library.table(name) for name in tables]
    _check(wanted, {name for table in chosen for name in table.rows}, "row")
    _check(kept, {seed for table in chosen for row in table.rows.values() for seed in row.seeds}, "seed")
    for table in chosen:
        for row in table.rows.values():
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
        self.made: dict[tuple[int, int], Run] = {}
        self.resized: dict[int, Stage] = {}

    def add_row(self, table: Table, row: Row, kept: set[int]) -> None:
        seeds = row.seeds[:SMOKE_SEEDS] if self.profile.startswith("smoke") else row.seeds
        runs: dict[int, Run] = {}
        for seed, priority in zip(row.seeds, row.priority, strict=True):
            if seed in (kept or seeds):
                runs[seed] = self.run(row.stages[-1], f"{table.name}/{row.name}", seed)
                self._raise_priority(runs[seed], priority)
        if runs:
            self.graph.rows[table.name, row.name] = runs
        if "ensemble" in table.columns and row.nets > 1 and runs.keys() == set(seeds):
            self._add_ensemble(table, row, runs)

    def _add_ensemble(self, table: Table, row: Row, runs: dict[int, Run]) -> None:
        """An evaluation over all seeds of a row, in ensembles of as many networks as the published one."""
        members, last = {str(seed): run for seed, run in runs.items()}, next(iter(runs.values()))
        size = min(row.nets, len(members))
        run = self._kept(Run(f"{table.name}/{row.name}", self.profile, 0, last.stage, members, size))
        self.graph.ensembles[table.name, row.name] = run
        self.graph.priority[run.key] = min(row.priority)

    def run(self, stage: Stage, name: str, seed: int) -> Run:
        seed = stage.seed if stage.seed is not None else seed
        if (id(stage), seed) not in self.made:
            sources = {edge: self._source(ref, seed) for edge, ref in stage.edges.items()}
            self.made[id(stage), seed] = self._kept(Run(name, self.profile, seed, self._under(stage), sources))
        return self.made[id(stage), seed]

    def _under(self, stage: Stage) -> Stage:
        """The stage as the profile carries it out, the same one for all seeds: what it says is worked out once."""
        if id(stage) not in self.resized:
            self.resized[id(stage)] = apply_profile(stage, self.profile)
        return self.resized[id(stage)]

    def _source(self, ref: Ref, seed: int) -> Run:
        stage = self.library.stage(ref)
        last = stage is self.library.row(ref).stages[-1]
        return self.run(stage, f"{ref.table}/{ref.row}" + ("" if last else f".{stage.name}"), ref.seed or seed)

    def _kept(self, run: Run) -> Run:
        """Two rows that say the same are one run: the first one's name is shown."""
        self.graph.priority.setdefault(run.key, 0.0)
        return self.graph.runs.setdefault(run.key, run)

    def _raise_priority(self, run: Run, priority: float) -> None:
        self.graph.priority[run.key] = max(self.graph.priority[run.key], priority)
        for source in run.sources.values():
            self._raise_priority(source, priority)


def with_sources(run: Run) -> Iterator[Run]:
    """A run and all that it takes from, each once, sources first."""
    seen = set[str]()

    def walk(run: Run) -> Iterator[Run]:
        if run.key not in seen:
            seen.add(run.key)
            for source in run.sources.values():
                yield from walk(source)
            yield run

    return walk(run)


def key_of(recipe: Mapping[str, Any], profile: str, seed: int, sources: Mapping[str, str]) -> str:
    """The key of a run, from what its recipe says (plain values) and from the keys of what it takes from."""
    fingerprint = registry.SETS[recipe["data"]["set"]].fingerprint
    return _hash(
        {"recipe": recipe, "profile": profile, "seed": seed, "fingerprint": fingerprint, "sources": dict(sources)}
    )


def id_of(key: str, profile: str, versions: Mapping[str, int], sources: Mapping[str, str]) -> str:
    """The id of a run, from its key, the versions of its components and the ids of what it takes from."""
    return f"{profile}-{_hash({'key': key, 'versions': dict(versions), 'sources': dict(sources)})}"


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
