"""What born-again networks learn of their teacher when half of it is taken away (Furlanello et al., arXiv 1805.04770).

A born-again network itself is ``soft_targets`` at temperature 1 from a teacher of its own kind, and with the labels
(BAN+L) ``kd`` at temperature 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.methods.base import Batch, Knowledge, Method, Needs, Outputs, Setup
from bench.methods.losses import cross_entropies, full, log_probabilities, teacher_log_probabilities

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class CWTM(Method):
    """L = Σ_n w_n CE(y_n, p_n), w_n = max t_n / Σ_m max t_m: labels, weighted by how sure the teacher is.

    Confidence-weighted by teacher max. t_n are the teacher's probabilities, and the sums are over a batch: what it says
    of the other classes is left out.
    """

    name: ClassVar[str] = "cwtm"
    needs: ClassVar[Needs] = Needs(teacher="logits", several=True)
    knowledge: ClassVar[Knowledge | None] = Knowledge("labels", "output", "weighted by the teacher's confidence")

    def loss(self, k: int, batch: Batch, outputs: Outputs) -> "dict[str, Tensor]":
        """``ce``."""
        sure = teacher_log_probabilities(outputs.teachers).exp().amax(dim=1)
        return {"ce": (sure / sure.sum() * cross_entropies(outputs.students[k].logits, batch.labels)).sum()}


@dataclass(frozen=True)
class DKPP(Method):
    """L = mean_n CE(π(t_n), p_n): π leaves the teacher's largest probability and permutes all others.

    Dark knowledge with permuted predictions: which class is like which is left out, and how sure the teacher is stays.
    π is drawn for each image and each epoch.
    """

    name: ClassVar[str] = "dkpp"
    needs: ClassVar[Needs] = Needs(teacher="logits", several=True)
    knowledge: ClassVar[Knowledge | None] = Knowledge("soft labels", "output", "permuted")

    def draws(self, setup: Setup, generator: np.random.Generator) -> Mapping[str, NDArray[Any]]:
        """``order``, (n, C) numbers whose ranks are a permutation of the classes for each image."""
        return {"order": generator.random((len(setup.labels), setup.classes), dtype=np.float32)}

    def loss(self, k: int, batch: Batch, outputs: Outputs) -> "dict[str, Tensor]":
        """``ce``, to the permuted probabilities."""
        teacher = teacher_log_probabilities(outputs.teachers).exp()
        permuted = permute(teacher, batch.draws["order"].index_select(0, batch.indices))
        return {"ce": -(permuted * log_probabilities(full(outputs.students[k].logits))).sum(dim=1).mean()}


def permute(probabilities: "Tensor", order: "Tensor") -> "Tensor":
    """Probabilities (N, C), of which each row's largest stays and the others are permuted as ``order`` (N, C) ranks.

    All are permuted first; what then stands in the largest one's place changes places with it.
    """
    largest = probabilities.argmax(dim=1, keepdim=True)
    permutation = order.argsort(dim=1)
    permuted = probabilities.gather(1, permutation)
    gone_to = (permutation == largest).to(permuted.dtype).argmax(dim=1, keepdim=True)
    swapped = permuted.scatter(1, gone_to, permuted.gather(1, largest))
    return swapped.scatter(1, largest, probabilities.gather(1, largest))
