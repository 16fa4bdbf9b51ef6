"""Data impressions: what a network was trained on, as its own weights remember it (Nayak et al., ICML 2019, sec. 3).

Each impression begins as noise and is optimised until the network says of it what was drawn from a Dirichlet
distribution, whose concentration is the similarity of the classes in the network's last layer.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.errors import RecipeError
from bench.methods.base import Synthesiser
from bench.methods.losses import log_probabilities
from bench.schema import Positive, PositiveInt

if TYPE_CHECKING:
    from torch import Tensor

Matrix = NDArray[np.float64]


def class_similarity(weights: Matrix) -> Matrix:
    """Cosines between the class vectors ``weights`` (C, D) of the last layer, scaled row by row to 0 ... 1, (C, C).

    Equation 3 and the min-max normalisation of its text: a row's largest entry is the class itself, 1.
    """
    unit = weights / np.linalg.norm(weights, axis=1, keepdims=True)
    cosine = unit @ unit.T
    low, high = cosine.min(axis=1, keepdims=True), cosine.max(axis=1, keepdims=True)
    scaled: Matrix = (cosine - low) / (high - low)
    return scaled


def dirichlet(concentration: Matrix, generator: np.random.Generator) -> Matrix:
    """One sample for each row of concentrations (N, C), none negative; (N, C), each row sums to 1.

    A class of concentration 0, as the least similar one has after min-max, gets the mass 0: the distribution's limit,
    which numpy does not take.
    """
    sample = np.zeros_like(concentration)
    for own, row in zip(sample, concentration, strict=True):
        own[row > 0] = generator.dirichlet(row[row > 0])
    return sample


@dataclass(frozen=True)
class DataImpressions(Synthesiser):
    """How many impressions, and what the network is to say of them.

    Args:
        count: of all classes and scalings together; each class and scaling gets its share.
        scalings: the paper's β: concentrations are multiplied by it, and a small one makes a sample more one-sided.
        temperature: of the network's softmax while images are optimised.
    """

    count: PositiveInt
    scalings: tuple[Positive, ...]
    temperature: Positive

    name: ClassVar[str] = "data_impressions"

    def check(self) -> None:
        """There is a scaling; ten million images of 32 x 32 pixels are 60 GB in memory."""
        if not self.scalings:
            raise RecipeError("scalings: at least one")
        if self.count > 10_000_000:
            raise RecipeError(f"count: at most 10,000,000 images, got {self.count}")

    def classes(self, n: int) -> NDArray[np.int64]:
        """One class after the other."""
        return np.arange(self.count, dtype=np.int64) % n

    def targets(self, weights: Matrix, generator: np.random.Generator) -> Matrix:
        """Samples of Dirichlet distributions, whose concentration is the similarity to the image's class."""
        n = len(weights)
        scaling = np.array(self.scalings)[np.arange(self.count) // n % len(self.scalings)]
        return dirichlet(class_similarity(weights)[self.classes(n)] * scaling[:, None], generator)

    def loss(self, target: "Tensor", logits: "Tensor") -> "Tensor":
        """Cross entropy (N,) between targets (N, C) and the network's softened answer (equation 4)."""
        return -(target * log_probabilities(logits, self.temperature)).sum(1)
