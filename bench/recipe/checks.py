"""What the parts of a table say must fit together."""

from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Any

from yaml.nodes import Node

from bench import registry, schema
from bench.recipe.model import STAGE_KEYS, Data, Schedule, Spec, Stage, Subset, Table
from bench.schema import entries, fault


def check_method(stage: Stage, said: dict[str, Node], noun: str) -> None:
    """A method has the teacher, the networks and the update that it needs, and no others."""
    entry, count = registry.METHODS[stage.method.name], len(stage.networks)
    noun = f"{noun}: method {stage.method.name!r}"
    if (entry.teachers > 0) != (stage.teacher is not None):
        raise fault(
            said.get("teacher", said["method"]), f"{noun} {'needs' if entry.teachers else 'takes no'} 'teacher'"
        )
    if entry.kind == "synthesise":
        _check_synthesis(stage, said, noun)
        return
    if stage.transfer_set is not None and stage.data.train != "all":
        raise fault(said["transfer_set"], f"{noun}: a transfer set is taken whole; say 'train: all' under 'data'")
    if entry.group != (count > 1) or not count:
        needs = "trains a group: give a list of two or more networks" if entry.group else "trains one network"
        raise fault(said["network"], f"{noun} {needs}, got {count}")
    if entry.group != (stage.update is not None):
        needs = "needs 'update: sequential', 'simultaneous' or 'joint'" if entry.group else "takes no 'update'"
        raise fault(said.get("update", said["method"]), f"{noun} {needs}")


def _check_synthesis(stage: Stage, said: dict[str, Node], noun: str) -> None:
    for key in ("network", "update", "init", "transfer_set"):
        if key in said:
            raise fault(said[key], f"{noun} makes images with its teacher's network: it takes no {key!r}")
    if stage.schedule.iterations is None:
        raise fault(said["schedule"], f"{noun} takes 'iterations' an image, not epochs")


def check_claims(table: Table, found: dict[str, Node]) -> None:
    """A claim compares rows of its table that are trained."""
    trained = [name for name, row in table.rows.items() if row.stages]
    for i, claim in enumerate(table.claims):
        for name in (claim.better, claim.worse):
            if name not in trained:
                says = "trains nothing" if name in table.rows else f"is no row; {schema.nearest(name, trained)}"
                raise fault(found["claims"].value[i], f"claims: {name!r} {says}")
        if claim.alike and "ensemble" not in table.columns:
            raise fault(found["claims"].value[i], "claims: 'alike: ensembles' needs the column 'ensemble'")


def check_assumed(found: dict[str, Node], stages: Iterable[Stage], noun: str) -> None:
    """An assumption is about a field that one of these stages really has."""
    if "assumed" in found:
        known = {path for stage in stages for path in _paths(stage)}
        for path, node in entries(found["assumed"], noun).items():
            if path not in known:
                raise fault(node, f"{noun}: {path!r} is no field here; {schema.nearest(path, known)}")


def _paths(stage: Stage) -> Iterator[str]:
    """The dotted path of every field of a stage that has a value."""
    for key in STAGE_KEYS:
        for value in stage.networks if key == "network" else [getattr(stage, key)]:
            yield from _inside(key, value)
    if "words" in stage.method.params:
        yield "words"


def _inside(path: str, value: Any) -> Iterator[str]:
    if value is None:
        return
    yield path
    if isinstance(value, Spec):
        # The component may be spelled out (optimizer.sgd.momentum) or not (optimizer.momentum).
        yield f"{path}.{value.name}"
        yield from (f"{start}.{name}" for start in (path, f"{path}.{value.name}") for name in value.params)
    elif isinstance(value, Data | Schedule | Subset):
        for part in fields(value):
            yield from _inside(f"{path}.{part.name}", getattr(value, part.name))
