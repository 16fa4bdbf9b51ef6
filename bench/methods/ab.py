"""Activation boundaries (Heo et al., arXiv 1811.03233, eq. 5 and 6): the first of its two stages."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench.methods.base import Batch, Knowledge, Method, Needs, Outputs, Setup
from bench.methods.features import compare_sizes, compare_stages, pairs_of_stages, stages
from bench.networks.base import Features, Initial
from bench.schema import Positive

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class AB(Method):
    """L = β Σ_i 2^(i−n) Σ ρ(t, r(s)) / N, over the stages i of n; nothing is said of the labels.

    s and t are activations before the last ReLU of a stage. ρ = (r(s) + m)² where t ≤ 0 and r(s) > −m, (r(s) − m)²
    where t > 0 and r(s) ≤ m, and 0 elsewhere; it is summed over channels and positions. r is a convolution with batch
    normalisation to the teacher's shape, or nothing where both have the same. The second stage goes on from this one
    with the labels alone.

    Args:
        weight: β.
        margin: m.
    """

    weight: Positive
    margin: Positive = 1.0

    name: ClassVar[str] = "ab"
    needs: ClassVar[Needs] = Needs(teacher="features")
    knowledge: ClassVar[Knowledge | None] = Knowledge("activation boundaries", "intermediate layers")
    initial: ClassVar[Initial | None] = "framework"

    def compare(self, student: Features, teacher: Features) -> None:
        """Stages are compared one by one, before their ReLU, and a convolution leads from one to the other."""
        compare_stages(student, teacher)
        compare_sizes(student, teacher, [f"{name}.before" for name in stages(student)])

    def parts(self, setup: Setup) -> "nn.Module":
        """The connectors of the stages."""
        from torch import nn

        from bench.methods.modules import regression

        own, other = setup.shapes(setup.students[0]), setup.shapes(setup.teachers[0])
        parts = nn.Module()
        parts.connectors = nn.ModuleList(
            nn.Identity() if own[name] == other[name] else regression(own[name], other[name]) for name in stages(own)
        )
        return parts

    def loss(self, k: int, batch: Batch, outputs: Outputs) -> "dict[str, Tensor]":
        """``ab``, already multiplied by β."""
        import torch

        pairs = pairs_of_stages(outputs.students[k], outputs.teachers[0], ".before")
        total = torch.stack(
            [
                self._crossed(connector(own), other) / 2 ** (len(pairs) - i)
                for i, (connector, (own, other)) in enumerate(zip(outputs.parts.connectors, pairs, strict=True), 1)
            ]
        ).sum()
        return {"ab": self.weight * total / len(batch.labels)}

    def _crossed(self, own: "Tensor", other: "Tensor") -> "Tensor":
        """How far activations are from the teacher's side of the boundary, with a margin: the sum of ρ."""
        on, off = (self.margin - own).clamp(min=0), (self.margin + own).clamp(min=0)
        return on.where(other > 0, off).square().sum()
