"""The sentences of a paper that say that one row beats another, or is like it, beside our runs."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

from bench.graph import Graph
from bench.recipe import Claim, Row, Table
from bench.report.cells import BOTH, collect, ensemble_cell, progress, protocols, recorded
from bench.report.model import Claimed, Epoch
from bench.report.sources import Sources
from bench.report.verdict import Verdict, alike, claim, combine, equivalent
from bench.store import Store

T = TypeVar("T")


def judge_claim(paper: Graph, store: Store, table: Table, statement: Claim) -> Claimed:
    """What the runs of a plan say of a claim: under the protocols of both rows, or of their ensembles."""
    better, worse = (table.rows[name] for name in (statement.better, statement.worse))
    if statement.waits:
        return Claimed(statement.text, better.label, worse.label, Verdict("waits", statement.waits))
    if statement.alike == "ensembles":
        found = [ensemble_cell(paper, store, table.name, row, table.metric) for row in (better, worse)]
        one, other = (ensemble.mean if ensemble else None for ensemble in found)
        verdict = alike(one, other, table.margin)
    else:
        followed = [epoch for epoch in BOTH if any(epoch in protocols(row, table.metric) for row in (better, worse))]
        test = partial(equivalent, margin=table.margin) if statement.alike else claim
        verdict = combine({epoch: _compare(paper, store, table, better, worse, epoch, test) for epoch in followed})
    return Claimed(statement.text, better.label, worse.label, verdict)


def _compare(
    paper: Graph, store: Store, table: Table, better: Row, worse: Row, epoch: Epoch, test: Callable[..., Verdict]
) -> Verdict:
    """Pairs of one seed each; what two seeds of either row share makes their pairs depend on each other.

    Where the rows have no seed in common, as a student and the teacher of its kind, the first of one is paired with the
    first of the other, and so on.
    """
    partner = {seed: seed for seed in better.seeds if seed in worse.seeds} or dict(
        zip(better.seeds, worse.seeds, strict=False)
    )
    one, other = (collect(paper, store, table.name, row) for row in (better, worse))
    own = table.metric.recorded
    gained, lost = (
        {seed: own.burden(value) for seed, value in recorded(row, samples, epoch, own).items()}
        for row, samples in ((better, one), (worse, other))
    )
    lost = _of_partners(lost, partner)
    runs = [{sample.seed: sample.run for sample in samples.recorded} for samples in (one, other)]
    runs[1] = _of_partners(runs[1], partner)
    present, seeds = runs[0].keys() & runs[1].keys(), sorted(gained.keys() & lost.keys())
    pairs = Sources({seed: [of_row[seed] for of_row in runs] for seed in seeds})
    conditions = [f"{pairs.given} ({', '.join(pairs.names)})"] if pairs.single else []
    return test(gained, lost, pairs.groups).given([*conditions, *progress(len(seeds), len(present), len(partner))])


def _of_partners(values: Mapping[int, T], partner: Mapping[int, int]) -> dict[int, T]:
    """What belongs to a seed's partner, by that seed."""
    return {seed: values[other] for seed, other in partner.items() if other in values}
