"""Codistillation (Anil et al., arXiv 1804.03235, algorithm 1): networks that learn from the mean of their peers."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from bench.methods.base import Batch, Knowledge, Method, Needs, Outputs, Setup
from bench.methods.losses import cross_entropies, log_probabilities, state, teacher_log_probabilities
from bench.schema import NonNegative, Share

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Codistillation(Method):
    """L_k = mean_n CE(y_n, p_k,n) + w(s) CE(mean over the peers j of p_j,n, p_k,n), over the images n of network k.

    w is 0 while the share s of the run's steps that are done is below the burn-in, and β after that.

    Args:
        weight: β.
        burn_in: the share of the training that each network begins alone.
        shards: ``disjoint`` splits the training images evenly among the networks, by chance: a network's loss is of its
            own part alone, on which it asks its peers what they predict; ``shared`` gives all images to each.
    """

    weight: NonNegative
    burn_in: Share
    shards: Literal["disjoint", "shared"]

    name: ClassVar[str] = "codistillation"
    needs: ClassVar[Needs] = Needs(group=True)

    @property
    def distilled(self) -> Knowledge:
        """What it distils, on which images."""
        return Knowledge("soft labels", "output", f"mutual, on {self.shards} images")

    def parts(self, setup: Setup) -> "nn.Module":
        """Which network each training image belongs to, (n,)."""
        import torch

        turns = np.arange(len(setup.labels)) % len(setup.students)
        return state(owner=torch.from_numpy(setup.generator.permutation(turns)))

    def loss(self, k: int, batch: Batch, outputs: Outputs) -> "dict[str, Tensor]":
        """``ce`` and ``peers``, the second already multiplied by its weight; both 0 where no image is its own."""
        logits = outputs.students[k].logits
        peers = [peer for j, peer in enumerate(outputs.students) if j != k]
        target = teacher_log_probabilities(peers).exp()
        to_peers = -(target * log_probabilities(logits)).sum(dim=1)
        weight = self.weight * (batch.progress >= self.burn_in)
        if self.shards == "shared":
            return {"ce": cross_entropies(logits, batch.labels).mean(), "peers": weight * to_peers.mean()}
        own = (outputs.parts.owner[batch.indices] == k).to(logits.dtype)
        share = own / own.sum().clamp(min=1)
        return {"ce": (share * cross_entropies(logits, batch.labels)).sum(), "peers": weight * (share * to_peers).sum()}
