"""A student of low precision that is trained together with its teacher: scheme A of Apprentice.

Mishra and Marr, arXiv 1711.05852, section 4. How precise the student is, ``weights`` of its row says. The schemes with
a teacher that is fixed have the second and the third term alone, and the latter is a divergence but for the teacher's
entropy: B is ``kd`` at temperature 1, and C the same after ``init`` with weights in full precision.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench.methods.base import Batch, Method, Needs, Outputs
from bench.methods.losses import cross_entropy, log_probabilities
from bench.schema import NonNegative

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Apprentice(Method):
    """L = α H(y, p_teacher) + β H(y, p) + γ H(p_teacher, p), where H(q, p) = −Σ q log p; the logits are not softened.

    The first network of the group is the student, and each of the others is a teacher of it. Under ``update: joint``
    the gradient of L goes into all of them, that of the third term too; under the others that one is the student's.

    Args:
        teacher: α; 1 in the paper.
        student: β; 0.5 there.
        distillation: γ; 0.5 there. Of several teachers, the mean of the third term is taken.
    """

    teacher: NonNegative
    student: NonNegative
    distillation: NonNegative

    name: ClassVar[str] = "apprentice"
    needs: ClassVar[Needs] = Needs(group=True)

    def loss(self, k: int, batch: Batch, outputs: Outputs) -> "dict[str, Tensor]":
        """``ce``, and of the student ``distillation``, each already multiplied by its weight."""
        import torch

        ce = cross_entropy(outputs.students[k].logits, batch.labels)
        if k > 0:
            return {"ce": self.teacher * ce}
        log_p = log_probabilities(outputs.students[0].logits)
        targets = [log_probabilities(teacher.logits).exp() for teacher in outputs.students[1:]]
        each = torch.stack([-(target * log_p).sum(dim=1).mean() for target in targets])
        return {"ce": self.student * ce, "distillation": self.distillation * each.mean()}
