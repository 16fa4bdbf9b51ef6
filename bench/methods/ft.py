"""Factor transfer (Kim et al., arXiv 1802.04977, eq. 1 to 4): the paraphraser, and the student that learns its factors.

Two stages: the paraphraser is trained first, on the teacher alone, and is frozen in the second.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench.methods.base import Batch, Knowledge, Method, Needs, Outputs, Setup
from bench.methods.features import compare_stages, of_one_size, pairs_of_stages, stages
from bench.methods.losses import cross_entropy
from bench.networks.base import Features, Initial
from bench.schema import NonNegative

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench.methods.modules import Paraphraser

# The paper's k: how many of the teacher's channels a factor has.
RATE = 0.5


@dataclass(frozen=True)
class Paraphrase(Method):
    """L = mean (D(E(t)) − t)²: an autoencoder of the teacher's last stage t (N, D, H, W).

    The student learns nothing. E and D are three 3x3 convolutions each with leaky ReLUs.
    """

    name: ClassVar[str] = "paraphrase"
    needs: ClassVar[Needs] = Needs(teacher="features")
    knowledge: ClassVar[Knowledge | None] = Knowledge("factors of features", "intermediate layers")
    initial: ClassVar[Initial | None] = "framework"
    hands_on: ClassVar[tuple[str, ...]] = ("paraphraser",)

    def compare(self, student: Features, teacher: Features) -> None:
        """The teacher has stages."""
        compare_stages(teacher, teacher)

    def parts(self, setup: Setup) -> "nn.Module":
        """The paraphraser."""
        from torch import nn

        parts = nn.Module()
        parts.paraphraser = _paraphraser(setup)
        return parts

    def loss(self, k: int, batch: Batch, outputs: Outputs) -> "dict[str, Tensor]":
        """``paraphrase``."""
        _, feature = pairs_of_stages(outputs.teachers[0], outputs.teachers[0])[-1]
        paraphraser = outputs.parts.paraphraser
        return {"paraphrase": (paraphraser.decoder(paraphraser.encoder(feature)) - feature).square().mean()}


@dataclass(frozen=True)
class FT(Method):
    """L = CE(y, p) + β mean |A(T(s)) − A(E(t))|, of the last stage of both networks.

    T is the student's translator, three 3x3 convolutions with batch normalisation and leaky ReLUs; A (N, h·w) is the
    mean over the channels of a factor's squares, divided by its Euclidean norm, as in CRD's code (eq. 3 of the paper
    normalises the whole factor). ``weight`` is β.
    """

    weight: NonNegative

    name: ClassVar[str] = "ft"
    needs: ClassVar[Needs] = Needs(teacher="features")
    knowledge: ClassVar[Knowledge | None] = Knowledge("factors of features", "intermediate layers")
    initial: ClassVar[Initial | None] = "framework"
    takes_on: ClassVar[tuple[str, ...]] = ("paraphraser",)

    def compare(self, student: Features, teacher: Features) -> None:
        """Both have stages, and as many."""
        compare_stages(student, teacher)

    def parts(self, setup: Setup) -> "nn.Module":
        """The student's translator, and the paraphraser, which takes no gradient."""
        from torch import nn

        from bench.methods.modules import factor

        parts, own = nn.Module(), setup.shapes(setup.students[0])
        parts.paraphraser = _paraphraser(setup).requires_grad_(False).eval()
        parts.translator = factor(own[stages(own)[-1]][0], _planes(setup), normalised=True)
        return parts

    def loss(self, k: int, batch: Batch, outputs: Outputs) -> "dict[str, Tensor]":
        """``ce`` and ``ft``, the second already multiplied by β."""
        from bench.methods.at import attention

        student, parts = outputs.students[k], outputs.parts
        own, other = pairs_of_stages(student, outputs.teachers[0])[-1]
        pair = of_one_size(parts.translator(own), parts.paraphraser.encoder(other))
        distance = (attention(pair[0]) - attention(pair[1])).abs().mean()
        return {"ce": cross_entropy(student.logits, batch.labels), "ft": self.weight * distance}


def _channels(setup: Setup) -> int:
    shapes = setup.shapes(setup.teachers[0])
    return shapes[stages(shapes)[-1]][0]


def _planes(setup: Setup) -> int:
    return int(RATE * _channels(setup))


def _paraphraser(setup: Setup) -> "Paraphraser":
    from bench.methods.modules import Paraphraser

    return Paraphraser(_channels(setup), _planes(setup))
