"""What the parts of a table say must fit together."""

from collections.abc import Iterable, Iterator
from dataclasses import fields
from math import comb
from typing import Any

from yaml.nodes import Node

from bench import registry, schema
from bench.component import Component
from bench.errors import RecipeError
from bench.methods.base import Method
from bench.recipe.model import STAGE_KEYS, Cell, Data, Row, Stage, Subset, Table
from bench.schedules import MOST_STEPS, Schedule
from bench.schema import entries, fault

MOST_NETWORKS, MOST_SUBSETS = 100, 10_000


def check_method(stage: Stage, stated: dict[str, Node], noun: str) -> None:
    """A method has the teachers, the networks and the update that it needs, and no others."""
    noun = f"{noun}: method {stage.method.name!r}"
    if not isinstance(stage.method, Method):
        _check_synthesis(stage, stated, noun)
        return
    needs, count = stage.method.needs, len(stage.networks)
    _check_teachers(stage, stated, noun, taught=needs.teacher != "none", several=needs.several)
    if stage.transfer_set is not None and (stage.data.train != "all" or stage.data.validation):
        says = "say 'train: all' under 'data', and no 'validation'"
        raise fault(stated["transfer_set"], f"{noun}: a transfer set is taken whole; {says}")
    if stage.method.takes_on and stage.init is None:
        handed = " and ".join(stage.method.takes_on)
        raise fault(stated["method"], f"{noun} needs 'init': an earlier stage whose method hands on its {handed}")
    if needs.group != (count > 1) or not count:
        trains = "trains a group: give a list of two or more networks" if needs.group else "trains one network"
        raise fault(stated["network"], f"{noun} {trains}, got {count}")
    if len(stage.weights) not in (0, count):
        says = f"one for each of its {count} networks, {{name: {{...}}}} or full; got {len(stage.weights)}"
        raise fault(stated["weights"], f"{noun}: 'weights': {says}")
    if needs.group != (stage.update is not None):
        takes = "needs 'update: sequential', 'simultaneous' or 'joint'" if needs.group else "takes no 'update'"
        raise fault(stated.get("update", stated["method"]), f"{noun} {takes}")


def check_answers(stage: Stage, stated: dict[str, Node], noun: str) -> None:
    """Networks say of each pixel what it is where the set has labels for that, and of images elsewhere."""
    info = registry.SETS[stage.data.set]
    for network in stage.networks:
        if network.dense != info.dense:
            answers, labels = ("pixel" if one else "image" for one in (network.dense, info.dense))
            says = f"{network.name!r} gives one answer for each {answers}, but {info.name} has one label for each"
            raise fault(stated["network"], f"{noun}.network: {says} {labels}")


def _check_teachers(stage: Stage, stated: dict[str, Node], noun: str, *, taught: bool, several: bool) -> None:
    at = stated.get("teacher", stated["method"])
    if taught != bool(stage.teachers):
        raise fault(at, f"{noun} {'needs' if taught else 'takes no'} 'teacher'")
    if len(stage.teachers) > 1 and not several:
        raise fault(at, f"{noun} takes one teacher, got {len(stage.teachers)}")


def _check_synthesis(stage: Stage, stated: dict[str, Node], noun: str) -> None:
    _check_teachers(stage, stated, noun, taught=True, several=False)
    if registry.SETS[stage.data.set].dense:
        raise fault(stated["method"], f"{noun} makes images of one class each; pixels of {stage.data.set} have labels")
    for key in ("network", "weights", "update", "init", "transfer_set"):
        if key in stated:
            raise fault(stated[key], f"{noun} makes images with its teacher's network: it takes no {key!r}")
    if stage.schedule.iterations is None:
        raise fault(stated["schedule"], f"{noun} takes 'iterations' an image, not epochs")


def check_data(data: Data, nodes: dict[str, Node], noun: str) -> None:
    """Means and deviations are the channels', crops show something, and parts have images."""
    info = registry.SETS[data.set]
    for key in ("mean", "std"):
        if len(getattr(data, key)) != info.channels:
            raise fault(nodes[key], f"{noun}.{key}: one number for each channel of {data.set}")
    if info.dense and data.crop_padding and data.padding_mode == "constant":
        says = f"what 'constant' adds to an image has no labels, which each pixel of {data.set} has; say 'reflect'"
        raise fault(nodes["padding_mode"], f"{noun}.padding_mode: {says}")
    if data.crop_padding >= info.size:
        says = f"must stay below the side of an image, {info.size}: a crop beyond it would show nothing of the image"
        raise fault(nodes["crop_padding"], f"{noun}.crop_padding: {says}")
    if data.resolution and (data.resolution >= info.size or info.size % data.resolution):
        sides = ", ".join(str(side) for side in range(1, info.size) if info.size % side == 0)
        says = f"a side to which images of {info.size} pixels can be reduced ({sides}), got {data.resolution}"
        raise fault(nodes["resolution"], f"{noun}.resolution: {says}")
    parts = (
        ("train", data.train, info.train),
        ("test", data.test, info.test),
        ("validation", data.validation, info.train),
    )
    for key, part, whole in parts:
        if not isinstance(part, Subset):
            continue
        if (part.fraction is None) == (part.per_class is None):
            raise fault(nodes[key], f"{noun}.{key}: give fraction or per_class, one of the two")
        if part.per_class and info.dense:
            raise fault(nodes[key], f"{noun}.{key}: an image of {data.set} has no one class; give a fraction")
        if not 0 < (size := part.size(whole, info.classes)) <= whole:
            raise fault(nodes[key], f"{noun}.{key}: {size} images, of the {whole} of {data.set}")
    if data.validation and data.sizes(info.train, info.test, info.classes)[0] < 1:
        raise fault(nodes["validation"], f"{noun}.validation: leaves no image to train on")


def check_size(stage: Stage, stated: dict[str, Node], noun: str) -> None:
    """Its networks, teachers and steps are as many as a process can hold."""
    for key, count in (("network", len(stage.networks)), ("teacher", len(stage.teachers))):
        if count > MOST_NETWORKS:
            raise fault(
                stated[key], f"{noun}.{key}: at most {MOST_NETWORKS}, which are in memory together; got {count}"
            )
    if stage.transfer_set is None and not stage.synthesises:
        info, part = registry.SETS[stage.data.set], stage.data.train
        images = info.train if part == "all" else part.size(info.train, info.classes)
        steps = stage.schedule.steps(-(-images // stage.schedule.batch))
        if steps > MOST_STEPS:
            raise fault(stated["schedule"], f"{noun}.schedule: {steps:,} steps; at most {MOST_STEPS:,}")


def check_subsets(seeds: int, nets: int, node: Node, noun: str) -> None:
    """An ensemble is the mean over all subsets of the seeds, each of which is evaluated."""
    if comb(seeds, nets) > MOST_SUBSETS:
        raise fault(node, f"{noun}.nets: {seeds} seeds have more than {MOST_SUBSETS:,} subsets of {nets}")


def check_claims(table: Table, nodes: dict[str, Node]) -> None:
    """A claim compares rows of its table that are trained, or it waits."""
    trained = [name for name, row in table.rows.items() if row.stages or row.unreadable]
    for i, claim in enumerate(table.claims):
        for name in (claim.better, claim.worse):
            if name not in (table.rows if claim.waits else trained):
                says = "trains nothing" if name in table.rows else f"is no row; {schema.nearest(name, trained)}"
                raise fault(nodes["claims"].value[i], f"claims: {name!r} {says}")
        if claim.alike == "ensembles" and "ensemble" not in table.columns:
            raise fault(nodes["claims"].value[i], "claims: 'alike: ensembles' needs the column 'ensemble'")


def check_named_rows(table: Table) -> None:
    """A hypothesis and a bound are trained, unscored rows of the same table; what they belong to is scored."""
    for row in table.rows.values():
        for key in ("hypothesis_of", "bounded_by"):
            name = getattr(row, key)
            if name is None:
                continue
            noun = f"{row.location}: row {row.name}.{key}"
            if name not in table.rows:
                raise RecipeError(f"{noun}: no row {name!r}; {schema.nearest(name, table.rows)}")
            if row.unreadable or table.rows[name].unreadable:
                continue
            scored, aside = (table.rows[name], row) if key == "hypothesis_of" else (row, table.rows[name])
            if table.metric.name not in scored.published or scored.unscored:
                raise RecipeError(f"{noun}: {scored.name!r} has no verdict")
            if not aside.unscored:
                raise RecipeError(f"{noun}: {aside.name!r} has a verdict of its own; mark it 'unscored'")


def check_sources(nodes: dict[str, Node], stages: Iterable[Stage], noun: str) -> None:
    """A row whose stages take a ``source`` says which, and no other row does."""
    takes = [stage for stage in stages if "source" in (stage.seed, *(ref.seed for ref in stage.edges.values()))]
    if takes and "sources" not in nodes:
        raise RecipeError(f"{takes[0].location}: {noun}: 'source' needs 'sources', one number for each seed of the row")
    if "sources" in nodes and not takes:
        raise fault(nodes["sources"], f"{noun}.sources: no stage takes a 'source'; write ROW#source or 'seed: source'")


def check_assumed(nodes: dict[str, Node], rows: Iterable[Row], noun: str) -> None:
    """An assumption is about a field that one of these rows, its stages or its published cells really have."""
    if "assumed" in nodes:
        known = {path for row in rows for path in _paths_of_row(row)}
        for path, node in entries(nodes["assumed"], noun).items():
            if path not in known:
                raise fault(node, f"{noun}: {path!r} is no field here; {schema.nearest(path, known)}")


def _paths_of_row(row: Row) -> Iterator[str]:
    """The dotted path of every field of a row that something can be assumed of."""
    for stage in row.stages:
        yield from _paths(stage)
    for metric, cell in row.published.items():
        yield from _inside(f"published.{metric}", cell)
    if row.stages and len(row.stages[-1].networks) > 1:
        yield "report"


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
    elif isinstance(value, Cell | Data | Schedule | Subset):
        for part in fields(value):
            yield from _inside(f"{path}.{part.name}", getattr(value, part.name))
    if isinstance(value, Schedule) and value.decay.flat:
        yield from (f"{path}.{f.name}" for f in fields(value.decay))
