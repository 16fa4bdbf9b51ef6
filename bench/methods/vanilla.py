"""Training on the labels alone: as they are (FFDWV, eq. 2), or smoothed."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench.methods.base import Batch, Method, Outputs
from bench.methods.losses import cross_entropy
from bench.schema import Fraction

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Vanilla(Method):
    """Cross entropy."""

    name: ClassVar[str] = "vanilla"

    def loss(self, k: int, batch: Batch, outputs: Outputs) -> "dict[str, Tensor]":
        """``ce``."""
        return {"ce": cross_entropy(outputs.students[k].logits, batch.labels)}


@dataclass(frozen=True)
class LabelSmoothing(Method):
    """L = CE((1 − ε) y + ε / C, p), the own class's share included (Szegedy et al., CVPR 2016, section 7)."""

    epsilon: Fraction

    name: ClassVar[str] = "label_smoothing"

    def loss(self, k: int, batch: Batch, outputs: Outputs) -> "dict[str, Tensor]":
        """``ce``, to the smoothed labels."""
        return {"ce": cross_entropy(outputs.students[k].logits, batch.labels, self.epsilon)}
