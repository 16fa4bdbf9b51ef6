"""The flow of solution procedure (Yim et al., A Gift from Knowledge Distillation, CVPR 2017, eq. 1 and 2)."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import TYPE_CHECKING, ClassVar, Literal

from bench.errors import RecipeError
from bench.methods.base import Batch, Knowledge, Method, Needs, Outputs
from bench.methods.features import compare_stages, stages
from bench.methods.losses import full
from bench.networks.base import Features, shape_of
from bench.schema import Positive

if TYPE_CHECKING:
    from torch import Tensor

    from bench.networks.modules.base import Output


@dataclass(frozen=True)
class FSP(Method):
    """L = λ Σ_i ||G_i(teacher) − G_i(student)||², mean over the batch; nothing is said of the labels.

    Each G (eq. 1) is made of two features of one network: the products of their channels, averaged over the positions.

    Args:
        weight: λ, the same for every matrix.
        matrices: which pairs of features, and how they are compared. ``sections`` is the paper's: the first and the
            last layer of each of the residual sections, and the squared distance summed over a matrix's entries.
            ``cross`` is that of most public code: consecutive stages' outputs, and the mean over the entries, so that
            the same λ weighs as many times less as a matrix has entries. Where the sizes of two features differ, the
            paper takes maxima and public code means.
    """

    weight: Positive
    matrices: Literal["sections", "cross"]

    name: ClassVar[str] = "fsp"
    needs: ClassVar[Needs] = Needs(teacher="features")
    knowledge: ClassVar[Knowledge | None] = Knowledge("relations of layers", "intermediate layers")

    def compare(self, student: Features, teacher: Features) -> None:
        """Matrices have a distance only where their features have as many channels in both networks."""
        compare_stages(student, teacher)
        for name in dict.fromkeys(chain.from_iterable(self._pairs(student))):
            own, other = shape_of(student, name, "student"), shape_of(teacher, name, "teacher")
            if own[0] != other[0]:
                raise RecipeError(
                    f"feature {name!r} has {own[0]} channels in the student and {other[0]} in the teacher, so their FSP"
                    " matrices have no distance; give both networks the same width"
                )

    def loss(self, k: int, batch: Batch, outputs: Outputs) -> "dict[str, Tensor]":
        """``fsp``, already multiplied by λ."""
        import torch

        over_entries = torch.sum if self.matrices == "sections" else torch.mean
        pairs = zip(self._matrices(outputs.teachers[0]), self._matrices(outputs.students[k]), strict=True)
        distances = [over_entries((teacher - student).square(), dim=(1, 2)) for teacher, student in pairs]
        return {"fsp": self.weight * torch.stack(distances).sum(dim=0).mean()}

    def _matrices(self, output: "Output") -> "list[Tensor]":
        features = output.features
        return [self._matrix(features[first], features[last]) for first, last in self._pairs(features)]

    def _pairs(self, names: Iterable[str]) -> list[tuple[str, str]]:
        """The two features of each matrix: the ends of a section, or what two neighbouring ones give."""
        own = stages(names)
        return [(f"{name}.first", name) for name in own] if self.matrices == "sections" else [*pairwise(["stem", *own])]

    def _matrix(self, first: "Tensor", last: "Tensor") -> "Tensor":
        """G_ij = Σ_st F¹_ist F²_jst / hw (eq. 1): (N, m, n) of features (N, m, ·, ·) and (N, n, ·, ·).

        Where their sizes differ, the larger one is pooled to the smaller, h x w.
        """
        from torch.nn import functional

        pool = functional.adaptive_max_pool2d if self.matrices == "sections" else functional.adaptive_avg_pool2d
        size = min(first.shape[2], last.shape[2]), min(first.shape[3], last.shape[3])
        one, other = (full(f) if f.shape[2:] == size else pool(full(f), size) for f in (first, last))
        return one.flatten(2) @ other.flatten(2).transpose(1, 2) / (size[0] * size[1])
