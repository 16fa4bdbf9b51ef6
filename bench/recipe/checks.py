"""What the parts of a table say must fit together."""

from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Any

from yaml.nodes import Node

from bench import schema
from bench.component import Component
from bench.methods.base import Method
from bench.recipe.model import STAGE_KEYS, Data, Stage, Subset, Table
from bench.schedules import Schedule
from bench.schema import entries, fault


def check_method(stage: Stage, stated: dict[str, Node], noun: str) -> None:
    """A method has the teachers, the networks and the update that it needs, and no others."""
    noun = f"{noun}: method {stage.method.name!r}"
    if not isinstance(stage.method, Method):
        _check_synthesis(stage, stated, noun)
        return
    needs, count = stage.method.needs, len(stage.networks)
    _check_teachers(stage, stated, noun, taught=needs.teacher != "none", several=needs.several)
    if stage.transfer_set is not None and stage.data.train != "all":
        raise fault(stated["transfer_set"], f"{noun}: a transfer set is taken whole; say 'train: all' under 'data'")
    if stage.method.takes_on and stage.init is None:
        handed = " and ".join(stage.method.takes_on)
        raise fault(stated["method"], f"{noun} needs 'init': an earlier stage whose method hands on its {handed}")
    if needs.group != (count > 1) or not count:
        trains = "trains a group: give a list of two or more networks" if needs.group else "trains one network"
        raise fault(stated["network"], f"{noun} {trains}, got {count}")
    if needs.group != (stage.update is not None):
        takes = "needs 'update: sequential', 'simultaneous' or 'joint'" if needs.group else "takes no 'update'"
        raise fault(stated.get("update", stated["method"]), f"{noun} {takes}")


def _check_teachers(stage: Stage, stated: dict[str, Node], noun: str, *, taught: bool, several: bool) -> None:
    at = stated.get("teacher", stated["method"])
    if taught != bool(stage.teachers):
        raise fault(at, f"{noun} {'needs' if taught else 'takes no'} 'teacher'")
    if len(stage.teachers) > 1 and not several:
        raise fault(at, f"{noun} takes one teacher, got {len(stage.teachers)}")


def _check_synthesis(stage: Stage, stated: dict[str, Node], noun: str) -> None:
    _check_teachers(stage, stated, noun, taught=True, several=False)
    for key in ("network", "update", "init", "transfer_set"):
        if key in stated:
            raise fault(stated[key], f"{noun} makes images with its teacher's network: it takes no {key!r}")
    if stage.schedule.iterations is None:
        raise fault(stated["schedule"], f"{noun} takes 'iterations' an image, not epochs")


def check_claims(table: Table, nodes: dict[str, Node]) -> None:
    """A claim compares rows of its table that are trained."""
    trained = [name for name, row in table.rows.items() if row.stages or row.unreadable]
    for i, claim in enumerate(table.claims):
        for name in (claim.better, claim.worse):
            if name not in trained:
                says = "trains nothing" if name in table.rows else f"is no row; {schema.nearest(name, trained)}"
                raise fault(nodes["claims"].value[i], f"claims: {name!r} {says}")
        if claim.alike and "ensemble" not in table.columns:
            raise fault(nodes["claims"].value[i], "claims: 'alike: ensembles' needs the column 'ensemble'")


def check_assumed(nodes: dict[str, Node], stages: Iterable[Stage], noun: str) -> None:
    """An assumption is about a field that one of these stages really has."""
    if "assumed" in nodes:
        known = {path for stage in stages for path in _paths(stage)}
        for path, node in entries(nodes["assumed"], noun).items():
            if path not in known:
                raise fault(node, f"{noun}: {path!r} is no field here; {schema.nearest(path, known)}")


def _paths(stage: Stage) -> Iterator[str]:
    """The dotted path of every field of a stage that has a value."""
    for key, name in STAGE_KEYS.items():
        value = getattr(stage, name)
        for one in value if isinstance(value, tuple) else [value]:
            yield from _inside(key, one)
    if "words" in stage.method.params:
        yield "words"


def _inside(path: str, value: Any) -> Iterator[str]:
    if value is None:
        return
    yield path
    if isinstance(value, Component):
        # The component may be spelled out (optimizer.sgd.momentum) or not (optimizer.momentum).
        yield f"{path}.{value.name}"
        yield from (f"{start}.{f.name}" for start in (path, f"{path}.{value.name}") for f in fields(value))
    elif isinstance(value, Data | Schedule | Subset):
        for part in fields(value):
            yield from _inside(f"{path}.{part.name}", getattr(value, part.name))
    if isinstance(value, Schedule) and value.decay.flat:
        yield from (f"{path}.{f.name}" for f in fields(value.decay))
