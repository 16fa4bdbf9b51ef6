"""FFDWV: soft labels from the distances between the class words (Zou, eq. 6 to 9), and their uniform control."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from bench.data.wordvectors import Matrix, read_distances, soft_labels
from bench.errors import WordsError
from bench.methods.base import Batch, Knowledge, Method, Outputs, Setup
from bench.methods.losses import cross_entropy, kl_divergence, log_probabilities, state
from bench.schema import Distances

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class FFDWV(Method):
    """L = CE(y, p) + KL(S_y || p), where S_y is row y of softmax(-d) (eq. 7 to 9).

    ``reading`` is of eq. 6: ``vectors`` takes the distances d as given; ``rows`` takes the Euclidean distances between
    d's rows.
    """

    words: Distances
    reading: Literal["vectors", "rows"]

    name: ClassVar[str] = "ffdwv"
    knowledge: ClassVar[Knowledge | None] = Knowledge("distances of class words", "")

    def soft_labels(self, distances: Matrix) -> Matrix:
        """Row y is the soft label of class y: (C, C) of distances (C, C); each row sums to 1."""
        return soft_labels(distances, self.reading)

    def class_similarity(self) -> Matrix | None:
        """FFDWV's soft labels (C, C), of the control too."""
        return FFDWV.soft_labels(self, read_distances(self.words.file).matrix)

    def parts(self, setup: Setup) -> "nn.Module":
        """The soft labels of the words' distances; WordsError where those are between other classes."""
        words = read_distances(self.words.file)
        if len(words.classes) != setup.classes or words.classes != (setup.class_names or words.classes):
            raise WordsError(f"{self.words.file}: these are not the classes of the data set, in its order")
        return self.table(words.matrix)

    def table(self, distances: Matrix) -> "nn.Module":
        """``log_table``, the logarithms of the soft labels (C, C) of some distances (C, C)."""
        import torch

        table = torch.from_numpy(self.soft_labels(distances))
        # A mass that underflows has no finite logarithm, and 0 times infinity is no number: the smallest mass stands
        # for it, which adds nothing.
        return state(log_table=table.clamp(min=torch.finfo(table.dtype).tiny).log())

    def loss(self, k: int, batch: Batch, outputs: Outputs) -> "dict[str, Tensor]":
        """``ce`` and ``soft``, the KL from row ``labels`` of the table to the prediction."""
        logits = outputs.students[k].logits
        log_p = log_probabilities(logits)
        target = outputs.parts.log_table[batch.labels].to(log_p.dtype)
        return {"ce": cross_entropy(logits, batch.labels), "soft": kl_divergence(target, log_p)}


@dataclass(frozen=True)
class FFDWVUniformControl(FFDWV):
    """L = CE(y, p) + KL(U_y || p): U_y keeps the own class's mass of FFDWV's S_y and spreads the rest evenly.

    CE + KL(S_y || p) is label smoothing with the target (y + S_y) / 2 (up to a factor of 2 and a constant), so the only
    difference between FFDWV and this is where the mass off the own class goes: it tells whether the words matter.
    """

    name: ClassVar[str] = "ffdwv_uniform_control"
    key_name: ClassVar[str | None] = "label_smoothing"
    knowledge: ClassVar[Knowledge | None] = None

    def soft_labels(self, distances: Matrix) -> Matrix:
        """As FFDWV's on the diagonal, (1 − own) / (C − 1) off it."""
        own, classes = super().soft_labels(distances).diagonal(), len(distances)
        table: Matrix = np.repeat(((1 - own) / (classes - 1))[:, None], classes, axis=1)
        np.fill_diagonal(table, own)
        return table
