"""A method with a memory, as an example: contrastive representation distillation (Tian et al., arXiv 1910.10699)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.methods.base import Batch, Method, Needs, Outputs, Setup
from bench.methods.losses import cross_entropy, full
from bench.schema import NonNegative, Positive, PositiveInt, Share

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class CRD(Method):
    """L = CE(y, p) + β (NCE of the student's features against remembered teacher's, and the other way round).

    Negatives are images of other classes. Each image's are drawn by one random sequence an epoch, shifted by an amount
    of its own (Cranley and Patterson's rotation): each is uniform, and nothing of the size of the set times their
    number is ever stored.

    Args:
        beta: β; 0.8 in the authors' code.
        temperature: τ.
        negatives: K.
        momentum: of the memory.
        dim: of the embeddings.
    """

    beta: NonNegative = 0.8
    temperature: Positive = 0.07
    negatives: PositiveInt = 16_384
    momentum: Share = 0.5
    dim: PositiveInt = 128

    name: ClassVar[str] = "own_crd"
    needs: ClassVar[Needs] = Needs(teacher="features")

    def parts(self, setup: Setup) -> "nn.Module":
        """Embeddings that are trained; memories (n, dim), the normalising constants, and the images by class."""
        import torch
        from torch import nn

        parts, n = nn.Module(), len(setup.labels)
        shapes = [setup.shapes(net)["pool"][0] for net in (setup.students[0], setup.teachers[0])]
        parts.embed = nn.ModuleList(nn.Linear(width, self.dim) for width in shapes)
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
        """The sequence of an epoch, (K,), and each image's shift, (n,), in 0 to 1."""
        return {"sequence": generator.random(self.negatives), "shift": generator.random(len(setup.labels))}

    def loss(self, k: int, batch: Batch, outputs: Outputs) -> "dict[str, Tensor]":
        """``ce`` and ``crd``, the second already multiplied by β; the memory takes in the batch."""
        import torch
        from torch.nn.functional import normalize

        parts, both = outputs.parts, (outputs.students[k], outputs.teachers[0])
        student, teacher = (
            normalize(embed(full(output.features["pool"])), dim=1)
            for embed, output in zip(parts.embed, both, strict=True)
        )
        index = self._contrasted(parts, batch)
        crd = self._nce(teacher, parts.student_memory, parts.student_z, index)
        crd = crd + self._nce(student, parts.teacher_memory, parts.teacher_z, index)
        with torch.no_grad():
            for memory, embedded in ((parts.student_memory, student), (parts.teacher_memory, teacher)):
                mixed = self.momentum * memory[batch.indices] + (1 - self.momentum) * embedded.to(memory.dtype)
                memory.index_copy_(0, batch.indices, normalize(mixed, dim=1))
        return {"ce": cross_entropy(outputs.students[k].logits, batch.labels), "crd": self.beta * crd}

    def _contrasted(self, parts: "Any", batch: Batch) -> "Tensor":
        """(B, 1 + K) images: each one itself, then its negatives."""
        import torch

        first, count = parts.first[batch.labels][:, None], parts.count[batch.labels][:, None]
        share = (batch.draws["sequence"][None] + batch.draws["shift"][batch.indices][:, None]) % 1
        others = len(parts.by_class) - count
        place = torch.minimum((share * others).long(), others - 1)
        negatives = parts.by_class[place + torch.where(place < first, 0, count)]
        return torch.cat([batch.indices[:, None], negatives], dim=1)

    def _nce(self, embedded: "Tensor", memory: "Tensor", z: "Tensor", index: "Tensor") -> "Tensor":
        """Noise-contrastive estimation of embeddings (B, dim) against a memory; the first batch sets Z."""
        import torch

        n, k = len(memory), index.shape[1] - 1
        scores = (memory[index] @ embedded[:, :, None].to(memory.dtype))[:, :, 0].div(self.temperature).exp()
        with torch.no_grad():
            z.copy_(torch.where(z < 0, scores.mean() * n, z))
        p, noise = scores / z, k / n
        positive = (p[:, 0] / (p[:, 0] + noise + 1e-7)).log()
        negative = (noise / (p[:, 1:] + noise + 1e-7)).log().sum(dim=1)
        return -(positive + negative).mean()
