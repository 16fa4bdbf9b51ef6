"""What a run comes to: the lines of its curve, last and best errors, and the errors of ensembles."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.record import CurveEntry, EnsembleEntry, EpochEntry, NetworkEntry, Result, Status


@dataclass(frozen=True)
class Outcome:
    """What carrying out a run gave.

    Args:
        status: ``done`` or ``diverged``.
        results: of each network of the group.
        curve: a line for each epoch, batch of images, or ensemble.
        tensors: the artifact (see :mod:`bench.train.artifacts`); empty where there is none.
        seconds: spent in epochs, over all resumptions.
        step_flops: really spent in training steps, on each image; None where there are no such steps.
        answer_flops: spent by cached teachers, on all images.
        cached: whether the teachers' logits were kept; None without a teacher.
    """

    status: Status
    results: list[Result]
    curve: Sequence[CurveEntry]
    tensors: dict[str, Tensor]
    seconds: float
    step_flops: float | None = None
    answer_flops: float = 0.0
    cached: bool | None = None


def network_entries(sums: dict[str, float], networks: int, shown: int, tested: int) -> list[NetworkEntry]:
    """What a line of the curve says of each network: means of its loss's terms, and errors (%).

    Args:
        sums: by name; a name of network k begins with ``k.``. Of ``hits`` among the ``shown`` training images, of right
            answers to the ``tested`` ones (``test``), and, by any other name, of a term of the loss.
        networks: how many there are.
        shown: training images of the epoch.
        tested: test images.
    """
    entries = list[NetworkEntry]()
    for k in range(networks):
        own = {name.removeprefix(f"{k}."): value for name, value in sums.items() if name.startswith(f"{k}.")}
        hits, test = own.pop("hits"), own.pop("test")
        entries.append(
            {
                "loss": {name: _finite(value / shown) for name, value in own.items()},
                "train_error": round(100 - 100 * hits / shown, 4),
                "test_error": round(100 - 100 * test / tested, 4),
            }
        )
    return entries


def _finite(value: float) -> float | None:
    """Rounded; None for NaN and infinity, which JSON does not know."""
    return round(value, 6) if math.isfinite(value) else None


def diverged(entries: Sequence[NetworkEntry]) -> bool:
    """Whether a loss of an epoch is no number."""
    return any(value is None for network in entries for value in network["loss"].values())


def last_and_best(curve: Sequence[EpochEntry], status: Status) -> list[Result]:
    """Last and best test error of each network; a diverged run has none."""
    results = []
    for k in range(len(curve[-1]["networks"])):
        errors = [entry["networks"][k]["test_error"] for entry in curve]
        best, done = min(errors), status == "done"
        results.append(Result(errors[-1], best, errors.index(best) + 1) if done else Result(None, None, None))
    return results


def ensembles(logits: Mapping[int, NDArray[np.floating[Any]]], labels: NDArray[np.int64], size: int) -> Outcome:
    """The test error (%) of every ensemble of ``size`` networks; its softmax output is the mean of theirs.

    Args:
        logits: (N, C) of each seed.
        labels: (N,) class numbers.
        size: networks in an ensemble, at most as many as there are seeds.

    Returns:
        one line of the curve for each ensemble, and their mean as the result.
    """
    soft = {seed: torch.softmax(torch.from_numpy(own).double(), 1).numpy() for seed, own in logits.items()}
    curve = list[EnsembleEntry]()
    for members in combinations(sorted(soft), size):
        guessed = np.sum([soft[seed] for seed in members], axis=0).argmax(1)
        curve.append({"members": list(members), "test_error": round(float(100 * (guessed != labels).mean()), 4)})
    mean = round(fmean(entry["test_error"] for entry in curve), 4)
    return Outcome("done", [Result(mean, None, None)], curve, {}, 0.0)
