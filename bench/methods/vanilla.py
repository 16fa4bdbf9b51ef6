"""Training on the labels alone (FFDWV, eq. 2)."""

from torch import Tensor

from bench.methods.base import Method, Outputs, cross_entropy


class Vanilla(Method):
    """Cross entropy."""

    def loss(self, k: int, labels: Tensor, outputs: Outputs) -> dict[str, Tensor]:
        """``ce``."""
        return {"ce": cross_entropy(outputs.students[k].logits, labels)}
