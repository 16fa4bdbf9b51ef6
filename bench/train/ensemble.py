"""Ensembles of trained networks, from the test logits that each of them left."""

from collections.abc import Mapping
from itertools import combinations
from statistics import fmean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.store import Result
from bench.train.engine import Trained


def evaluate(logits: Mapping[int, NDArray[np.floating[Any]]], labels: NDArray[np.int64], size: int) -> Trained:
    """The test error (%) of every ensemble of ``size`` networks; its softmax output is the mean of theirs.

    Args:
        logits: (N, C) of each seed.
        labels: (N,) class numbers.
        size: networks in an ensemble, at most as many as there are seeds.

    Returns:
        one line of the curve for each ensemble, and their mean as the result.
    """
    soft = {seed: torch.softmax(torch.from_numpy(own).double(), 1).numpy() for seed, own in logits.items()}
    errors = {}
    for members in combinations(sorted(soft), size):
        guessed = np.sum([soft[seed] for seed in members], axis=0).argmax(1)
        errors[members] = round(float(100 * (guessed != labels).mean()), 4)
    curve: list[dict[str, Any]] = [{"members": list(m), "test_error": error} for m, error in errors.items()]
    mean = round(fmean(errors.values()), 4)
    return Trained("done", [Result(mean, None, None)], curve, {}, 0.0)
