"""Variational information distillation (Ahn et al., arXiv 1904.05835, eq. 3 to 6)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench.methods.base import Batch, Knowledge, Method, Needs, Outputs, Setup
from bench.methods.features import compare_stages, of_one_size, pairs_of_stages, stages
from bench.methods.losses import cross_entropy
from bench.networks.base import Features, Initial
from bench.schema import NonNegative, Positive

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class VID(Method):
    """L = CE(y, p) + β Σ_i mean ½ (log σ² + (t − μ(s))² / σ²), over the stages i.

    The teacher's activations t (N, D, h, w) are taken as Gaussian around μ(s), three 1x1 convolutions of the student's;
    σ² is trained, one for each channel. The mean is over images, channels and positions, as in CRD's code.

    Args:
        weight: β.
        variance: σ² as it begins.
        eps: the least σ².
    """

    weight: NonNegative
    variance: Positive = 5.0
    eps: Positive = 1e-5

    name: ClassVar[str] = "vid"
    needs: ClassVar[Needs] = Needs(teacher="features")
    knowledge: ClassVar[Knowledge | None] = Knowledge("mutual information", "intermediate layers")
    initial: ClassVar[Initial | None] = "framework"

    def compare(self, student: Features, teacher: Features) -> None:
        """Stages are compared one by one."""
        compare_stages(student, teacher)

    def parts(self, setup: Setup) -> "nn.Module":
        """A mean and a variance for each stage."""
        from torch import nn

        from bench.methods.modules import Gaussian

        own, other = setup.shapes(setup.students[0]), setup.shapes(setup.teachers[0])
        parts = nn.Module()
        parts.gaussians = nn.ModuleList(
            Gaussian(own[name][0], other[name][0], self.variance, self.eps) for name in stages(own)
        )
        return parts

    def loss(self, k: int, batch: Batch, outputs: Outputs) -> "dict[str, Tensor]":
        """``ce`` and ``vid``, the second already multiplied by β."""
        import torch

        student = outputs.students[k]
        pairs = [of_one_size(*pair) for pair in pairs_of_stages(student, outputs.teachers[0])]
        surprises = []
        for gaussian, (own, other) in zip(outputs.parts.gaussians, pairs, strict=True):
            variance = gaussian.variance()[:, None, None]
            surprises.append(0.5 * (variance.log() + (other - gaussian.mean(own)).square() / variance).mean())
        return {
            "ce": cross_entropy(student.logits, batch.labels),
            "vid": self.weight * torch.stack(surprises).sum(),
        }
