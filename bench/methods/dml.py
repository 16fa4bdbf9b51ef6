"""Deep mutual learning (Zhang et al., arXiv 1706.00384, eq. 4 to 6)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench.methods.base import Batch, Knowledge, Method, Needs, Outputs
from bench.methods.losses import cross_entropy, kl_divergence, log_probabilities

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class DML(Method):
    """L_k = CE(y, p_k) + the mean over the peers of KL(p_peer || p_k), at T = 1."""

    name: ClassVar[str] = "dml"
    needs: ClassVar[Needs] = Needs(group=True)
    knowledge: ClassVar[Knowledge | None] = Knowledge("soft labels", "output", "mutual")

    def loss(self, k: int, batch: Batch, outputs: Outputs) -> "dict[str, Tensor]":
        """``ce`` and ``mutual``."""
        import torch

        logits = outputs.students[k].logits
        log_p = log_probabilities(logits)
        peers = [log_probabilities(peer.logits) for j, peer in enumerate(outputs.students) if j != k]
        mutual = torch.stack([kl_divergence(peer, log_p) for peer in peers]).mean()
        return {"ce": cross_entropy(logits, batch.labels), "mutual": mutual}
