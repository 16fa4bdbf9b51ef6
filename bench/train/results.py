"""What a run comes to: the lines of its curve, and the scores of ensembles."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.metrics import ERROR, Metric, mean_of, measured, values
from bench.record import CurveEntry, EnsembleEntry, NetworkEntry, Result, Status

# Sums of a network begin with this where they are of the test images.
TEST = "test."


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


def network_entries(
    sums: Mapping[str, NDArray[np.float64]], networks: int, shown: int, metrics: tuple[Metric, ...]
) -> list[NetworkEntry]:
    """What a line of the curve says of each network: means of its loss's terms, its errors (%) and other metrics.

    Args:
        sums: by name; a name of network k begins with ``k.``. Of ``hits`` among the ``shown`` labels, of what each
            metric counts on the test images (``test.METRIC.COUNT``), and, by any other name, of a term of the loss.
        networks: how many there are.
        shown: labels of the epoch's training images.
        metrics: those that are measured, the error among them.
    """
    entries = list[NetworkEntry]()
    for k in range(networks):
        own = {name.removeprefix(f"{k}."): value for name, value in sums.items() if name.startswith(f"{k}.")}
        test = {name: own.pop(name) for name in list(own) if name.startswith(TEST)}
        scores = values(metrics, {name.removeprefix(TEST): total for name, total in test.items()})
        hits = float(own.pop("hits"))
        entry: NetworkEntry = {
            "loss": {name: _finite(float(value) / shown) for name, value in own.items()},
            "train_error": round(100 - 100 * hits / shown, 4),
            "test_error": scores.pop(ERROR.name),
        }
        entries.append({**entry, "test_scores": scores} if scores else entry)
    return entries


def _finite(value: float) -> float | None:
    """Rounded; None for NaN and infinity, which JSON does not know."""
    return round(value, 6) if math.isfinite(value) else None


def diverged(entries: Sequence[NetworkEntry]) -> bool:
    """Whether a loss of an epoch is no number."""
    return any(value is None for network in entries for value in network["loss"].values())


def ensembles(
    logits: Mapping[int, NDArray[np.floating[Any]]], labels: NDArray[np.int64], size: int, metric: Metric = ERROR
) -> Outcome:
    """The test error (%) of every ensemble of ``size`` networks; its softmax output is the mean of theirs.

    Args:
        logits: (N, C) of each seed.
        labels: (N,) class numbers.
        size: networks in an ensemble, at most as many as there are seeds.
        metric: of their table, measured beside the error.

    Returns:
        one line of the curve for each ensemble, and their mean as the result.
    """
    soft = {seed: torch.softmax(torch.from_numpy(own).double(), 1) for seed, own in logits.items()}
    metrics, truth = measured(metric), torch.from_numpy(labels)
    curve = list[EnsembleEntry]()
    for members in combinations(sorted(soft), size):
        output = torch.stack([soft[seed] for seed in members]).sum(0)
        counts = {f"{m.name}.{name}": n.numpy() for m in metrics for name, n in m.counts(output, truth).items()}
        scores = values(metrics, counts)
        entry: EnsembleEntry = {"members": list(members), "test_error": scores.pop(ERROR.name)}
        curve.append({**entry, "test_scores": scores} if scores else entry)
    return Outcome("done", [mean_of(curve, metrics)], curve, {}, 0.0)
