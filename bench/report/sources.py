"""Which runs are independent draws: those that share no trained or synthesised source."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from bench.graph import Run

NOUNS = {"teacher": "teacher", "init": "first stage", "transfer_set": "transfer set"}


@dataclass(frozen=True)
class Sources:
    """Seeds with the runs behind each: one of a cell, two of a pair that a claim compares."""

    runs: Mapping[int, Sequence[Run]]

    @cached_property
    def groups(self) -> list[list[int]]:
        """The seeds in groups that have no source in common."""
        behind = {seed: {run.key for _, run in _reached(own)} for seed, own in self.runs.items()}
        groups: list[list[int]] = []
        for seed, keys in behind.items():
            near = [group for group in groups if any(keys & behind[other] for other in group)]
            groups = [group for group in groups if group not in near]
            groups.append(sorted([seed, *(other for group in near for other in group)]))
        return sorted(groups)

    @property
    def single(self) -> bool:
        """Whether all hang on one source, so that what it adds to their spread cannot be seen."""
        return len(self.runs) > 1 and len(self.groups) == 1

    @property
    def given(self) -> str:
        """What a verdict on a single source is conditional on: ``given one teacher and transfer set``."""
        return f"given one {' and '.join(dict.fromkeys(NOUNS[edge] for edge, _ in self._shared)) or 'source'}"

    @property
    def names(self) -> list[str]:
        """The runs that all seeds share: ``zskd/mnist-teacher#1``."""
        return list(dict.fromkeys(f"{run.name}#{run.seed}" for _, run in self._shared))

    @property
    def _shared(self) -> list[tuple[str, Run]]:
        """The sources of all, each with the name of an edge that leads to it."""
        first, *others = [[*_reached(own)] for own in self.runs.values()]
        keys = [{run.key for _, run in reached} for reached in others]
        return [(edge, run) for edge, run in first if edge and all(run.key in own for own in keys)]


def _reached(runs: Iterable[Run], edge: str = "") -> Iterator[tuple[str, Run]]:
    """Some runs and all that they take from, however far back; the runs themselves have no edge."""
    for run in runs:
        yield edge, run
        for name, source in run.sources.items():
            yield from _reached([source], name.partition(".")[0])
