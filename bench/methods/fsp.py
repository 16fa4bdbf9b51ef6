"""The flow of solution procedure (Yim et al., A Gift from Knowledge Distillation, CVPR 2017, eq. 1 and 2)."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from bench.methods.base import Method, Outputs, full
from bench.networks.base import Output
from bench.shapes import FSP_PAIRS


class FSP(Method):
    """L = λ Σ_i ||G_i(teacher) − G_i(student)||², mean over the batch; nothing is said of the labels.

    Each G (eq. 1) is made of two features of one network: the products of their channels, averaged over the positions.

    Args:
        classes: number of classes.
        weight: λ, the same for every matrix.
        matrices: which pairs of features, and how they are compared. ``sections`` is the paper's: the first and the
            last layer of each of the three residual sections, and the squared distance summed over a matrix's entries.
            ``cross`` is that of most public code: consecutive stages' outputs, and the mean over the entries, so that
            the same λ weighs as many times less as a matrix has entries. Where the sizes of two features differ, the
            paper takes maxima and public code means.
    """

    def __init__(self, classes: int, weight: float, matrices: Literal["sections", "cross"]) -> None:
        super().__init__(classes)
        self.weight = weight
        self.pairs = FSP_PAIRS[matrices]
        sections = matrices == "sections"
        self.pool = functional.adaptive_max_pool2d if sections else functional.adaptive_avg_pool2d
        self.over_entries = torch.sum if sections else torch.mean

    def loss(self, k: int, labels: Tensor, outputs: Outputs) -> dict[str, Tensor]:
        """``fsp``, already multiplied by λ."""
        pairs = zip(self._matrices(outputs.teachers[0]), self._matrices(outputs.students[k]), strict=True)
        distances = [self.over_entries((teacher - student).square(), dim=(1, 2)) for teacher, student in pairs]
        return {"fsp": self.weight * torch.stack(distances).sum(dim=0).mean()}

    def _matrices(self, output: Output) -> list[Tensor]:
        return [self._matrix(output.features[first], output.features[last]) for first, last in self.pairs]

    def _matrix(self, first: Tensor, last: Tensor) -> Tensor:
        """G_ij = Σ_st F¹_ist F²_jst / hw (eq. 1): (N, m, n) of features (N, m, ·, ·) and (N, n, ·, ·).

        Where their sizes differ, the larger one is pooled to the smaller, h x w.
        """
        size = min(first.shape[2], last.shape[2]), min(first.shape[3], last.shape[3])
        one, other = (full(f) if f.shape[2:] == size else self.pool(full(f), size) for f in (first, last))
        return one.flatten(2) @ other.flatten(2).transpose(1, 2) / (size[0] * size[1])
