"""Contrastive representation distillation (Tian et al., arXiv 1910.10699, eq. 10 to 19), with its memory."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.methods.base import Batch, Knowledge, Method, Needs, Outputs, Setup
from bench.methods.features import compare_pools, pair_of_pools
from bench.methods.kd import KD
from bench.methods.losses import cross_entropy
from bench.networks.base import Features, Initial
from bench.schema import NonNegative, Positive, PositiveInt, Share

if TYPE_CHECKING:
    from torch import Tensor, nn

EPS = 1e-7


@dataclass(frozen=True)
class CRD(Method):
    """L = CE(y, p) + β (NCE of the student against remembered teachers, and the other way round) + α KD.

    NCE of an embedding e, its own image's remembered one m_0 and those m_j of K images of other classes is
    −log h(m_0) − Σ_j log (1 − h(m_j)), where h(m) = g / (g + K / n) and g = exp(eᵀ m / τ) / Z, of n training images; Z
    makes the mean of g over the first batch 1 / n. Embeddings are linear maps of the features after the global mean,
    of length 1. The memory moves towards them after each batch.

    One draw an epoch serves all images, turned around the images of other classes by an amount of each image's own
    (Cranley and Patterson's rotation): each negative is uniform, and none comes twice where there are enough. The
    authors' code draws them for each image apart.

    Args:
        weight: β.
        kd: α, the weight of Hinton's distillation with the temperature ``kd_temperature``: CRD+KD.
        temperature: τ.
        negatives: K.
        momentum: of the memory.
        dim: of the embeddings.
    """

    weight: NonNegative
    kd: NonNegative = 0.0
    kd_temperature: Positive = 4.0
    temperature: Positive = 0.07
    negatives: PositiveInt = 16_384
    momentum: Share = 0.5
    dim: PositiveInt = 128

    name: ClassVar[str] = "crd"
    needs: ClassVar[Needs] = Needs(teacher="features")
    knowledge: ClassVar[Knowledge | None] = Knowledge("mutual information", "penultimate layer")
    initial: ClassVar[Initial | None] = "framework"

    def compare(self, student: Features, teacher: Features) -> None:
        """Both give the features after their global mean."""
        compare_pools(student, teacher)

    def parts(self, setup: Setup) -> "nn.Module":
        """Embeddings that are trained; memories (n, dim), the constants Z, and the images (n,) by class."""
        import torch
        from torch import nn

        parts, n = nn.Module(), len(setup.labels)
        widths = [setup.shapes(network)["pool"][0] for network in (setup.students[0], setup.teachers[0])]
        parts.embed = nn.ModuleList(nn.Linear(width, self.dim) for width in widths)
        bound = 1 / math.sqrt(self.dim / 3)
        for name in ("student_memory", "teacher_memory"):
            memory = setup.generator.uniform(-bound, bound, (n, self.dim))
            parts.register_buffer(name, torch.from_numpy(memory).float())
        for name in ("student_z", "teacher_z"):
            parts.register_buffer(name, torch.tensor(-1.0))
        counts = np.bincount(setup.labels, minlength=setup.classes)
        parts.register_buffer("by_class", torch.from_numpy(np.argsort(setup.labels, kind="stable")))
        parts.register_buffer("first", torch.from_numpy(np.cumsum(counts) - counts))
        parts.register_buffer("count", torch.from_numpy(counts))
        return parts

    def draws(self, setup: Setup, generator: np.random.Generator) -> Mapping[str, NDArray[Any]]:
        """The places (K,) of an epoch, and each image's turn (n,) in 0 to 1."""
        n = len(setup.labels)
        fewest = n - int(np.bincount(setup.labels, minlength=setup.classes).max())
        places = (
            generator.permutation(fewest)[: self.negatives]
            if self.negatives <= fewest
            else generator.integers(0, fewest, self.negatives)
        )
        return {"places": places.astype(np.int64), "turn": generator.random(n)}

    def loss(self, k: int, batch: Batch, outputs: Outputs) -> "dict[str, Tensor]":
        """``ce``, ``crd`` and, where α is not 0, ``kd``, each already multiplied by its weight; the memory moves."""
        import torch
        from torch.nn.functional import normalize

        parts, output = outputs.parts, outputs.students[k]
        pools = pair_of_pools(output, outputs.teachers[0])
        student, teacher = (normalize(embed(pool), dim=1) for embed, pool in zip(parts.embed, pools, strict=True))
        drawn = self._drawn(parts, batch)
        crd = self._nce(teacher, parts.student_memory, parts.student_z, batch.indices, drawn)
        crd = crd + self._nce(student, parts.teacher_memory, parts.teacher_z, batch.indices, drawn)
        with torch.no_grad():
            for memory, embedded in ((parts.student_memory, student), (parts.teacher_memory, teacher)):
                mixed = self.momentum * memory[batch.indices] + (1 - self.momentum) * embedded.to(memory.dtype)
                memory.index_copy_(0, batch.indices, normalize(mixed, dim=1))
        terms = {"ce": cross_entropy(output.logits, batch.labels), "crd": self.weight * crd}
        if self.kd:
            terms["kd"] = KD(self.kd_temperature, "both", self.kd).loss(k, batch, outputs)["kd"]
        return terms

    def _drawn(self, parts: "Any", batch: Batch) -> "Tensor":
        """(B, n): how often each training image is a negative of each image of the batch."""
        import torch

        first, count = parts.first[batch.labels][:, None], parts.count[batch.labels][:, None]
        n, turn = len(parts.by_class), batch.draws["turn"][batch.indices][:, None]
        others = n - count
        place = (batch.draws["places"][None] + torch.minimum((turn * others).long(), others - 1)) % others
        negatives = parts.by_class[place + torch.where(place < first, 0, count)]
        drawn = torch.zeros(len(negatives), n, dtype=turn.dtype, device=turn.device)
        # Sums of ones are exact in any order.
        return drawn.scatter_add_(1, negatives, torch.ones_like(negatives, dtype=turn.dtype))

    def _nce(self, embedded: "Tensor", memory: "Tensor", z: "Tensor", own: "Tensor", drawn: "Tensor") -> "Tensor":
        """The NCE of embeddings (B, dim) against a memory (n, dim), the batch's mean; the first batch sets Z.

        All products with the memory are one product of matrices, which takes less than gathering K rows an image.
        """
        import torch

        n, negatives = len(memory), self.negatives
        # A copy, for the memory moves before the backward pass reads it.
        scores = (embedded.to(memory.dtype) @ memory.clone().T / self.temperature).exp()
        positive = scores.gather(1, own[:, None])[:, 0]
        with torch.no_grad():
            mean = (positive.sum() + (drawn * scores).sum()) / (len(scores) * (1 + negatives))
            z.copy_(torch.where(z < 0, mean * n, z))
        noise = negatives / n
        g = positive / z
        found = (g / (g + noise + EPS)).log()
        refused = drawn * (noise / (scores / z + noise + EPS)).log()
        return -(found + refused.sum(dim=1)).mean()
