"""Deep mutual learning (Zhang et al., arXiv 1706.00384, eq. 4 to 6)."""

import torch
from torch import Tensor

from bench.methods.base import Method, Outputs, cross_entropy, kl_divergence, log_probabilities


class DML(Method):
    """L_k = CE(y, p_k) + the mean over the peers of KL(p_peer || p_k), at T = 1."""

    def loss(self, k: int, labels: Tensor, outputs: Outputs) -> dict[str, Tensor]:
        """``ce`` and ``mutual``."""
        logits = outputs.students[k].logits
        log_p = log_probabilities(logits)
        peers = [log_probabilities(peer.logits) for j, peer in enumerate(outputs.students) if j != k]
        mutual = torch.stack([kl_divergence(peer, log_p) for peer in peers]).mean()
        return {"ce": cross_entropy(logits, labels), "mutual": mutual}
