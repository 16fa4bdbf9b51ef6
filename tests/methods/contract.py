"""A method's loss of outputs made by hand."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from bench.methods.base import Batch, Method, Outputs
from bench.networks.modules.base import Output
from bench.schema import Distances

WORDS = Distances("words", Path("words.csv"), "0" * 16)  # for tests that give the distances themselves


def outputs_of(logits: Sequence[Tensor]) -> list[Output]:
    return [Output(each, {}) for each in logits]


def terms(
    method: Method,
    students: Sequence[Output],
    labels: Tensor,
    teachers: Sequence[Output] = (),
    *,
    k: int = 0,
    progress: float = 0.0,
    parts: nn.Module | None = None,
) -> dict[str, Tensor]:
    """What the method's loss gives for network ``k``."""
    share = torch.tensor(progress, dtype=students[k].logits.dtype)
    batch = Batch(torch.zeros(len(labels), 1, 2, 2), labels, torch.arange(len(labels)), share, {})
    return method.loss(k, batch, Outputs(students, teachers, parts or nn.Module(), [], lambda network, x: network(x)))


def softmax(z: np.ndarray) -> np.ndarray:
    return np.exp(z - z.max()) / np.exp(z - z.max()).sum()


def case_of_words(seed: int, n: int, classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distances between classes, logits and labels."""
    draws = np.random.default_rng(seed)
    upper = np.triu(draws.uniform(0, 6, (classes, classes)), k=1)
    return upper + upper.T, draws.normal(0, 3, (n, classes)), draws.integers(0, classes, n)
