"""The contract of a method: what it declares, and pure functions of a batch and of what the networks said of it.

A method knows nothing of devices, optimisers, files or seeds. Its state, if it has any, lives in ``parts``, a module
that the engine moves, trains, checkpoints and hands back.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.component import Component
from bench.networks.base import Features, Initial

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench.networks.modules.base import Output


@dataclass(frozen=True)
class Needs:
    """What a method needs beside its students.

    Args:
        teacher: what it reads of a teacher; logits alone may come from a cache, features never do.
        several: whether it takes more than one teacher; else it takes one, if any.
        group: whether it trains two or more networks together; else it trains one.
    """

    teacher: Literal["none", "logits", "features"] = "none"
    several: bool = False
    group: bool = False


class Knowledge(NamedTuple):
    """What is distilled, in the words of the survey's third stage (Abbasi et al., arXiv 1912.13179, section V).

    Args:
        kind: soft labels, features, relations, ...
        location: where in the networks it is taken.
        transfer: what is peculiar to the way that it comes to the student: conditional, weighted, mutual, ...
    """

    kind: str
    location: str
    transfer: str = ""


# What a method distils that reads no more of its teacher than it must, by what it needs.
_PLAIN = {
    "none": Knowledge("labels", ""),
    "logits": Knowledge("soft labels", "output"),
    "features": Knowledge("features", "intermediate layers"),
}


class Batch(NamedTuple):
    """What a training step is about; everything lies on the device.

    Args:
        images: (B, C, H, W), as the students are shown them; teachers may see them in another resolution. In bfloat16
            where networks compute in it, since their first layer would round them anyway.
        labels: (B,) class numbers; of a set whose pixels have labels (B * H * W,), as the logits of networks are too.
        indices: (B,) which images of the training set these are.
        progress: scalar, the share of the run's steps that are done: from 0 up to but not including 1.
        draws: what the method drew for this epoch, by name.
    """

    images: "Tensor"
    labels: "Tensor"
    indices: "Tensor"
    progress: "Tensor"
    draws: "Mapping[str, Tensor]"


class Outputs(NamedTuple):
    """What the networks said of a batch, and the modules behind it.

    Args:
        students: of each network of the group; its peers arrive detached, except under the update ``joint``.
        teachers: of each teacher, which takes no gradient.
        parts: the method's own modules.
        networks: the modules of the group, for a method that shows them other images.
        forward: runs a network on images in the precision of the run.
    """

    students: "Sequence[Output]"
    teachers: "Sequence[Output]"
    parts: "Any"
    networks: "Sequence[nn.Module]"
    forward: "Callable[[nn.Module, Tensor], Output]"


@dataclass(frozen=True)
class Setup:
    """What a method's parts are made for.

    Args:
        classes: number of classes.
        class_names: in label order; empty where they have only numbers.
        labels: of the training set, in the order of ``Batch.indices``; (n,), or (n, H, W) where pixels have them.
        image: channels, height and width.
        students: the networks that are trained, with their initial weights.
        teachers: the frozen ones.
        generator: for the initial state of the parts.
    """

    classes: int
    class_names: tuple[str, ...]
    labels: NDArray[np.int64]
    image: tuple[int, int, int]
    students: "Sequence[nn.Module]"
    teachers: "Sequence[nn.Module]"
    generator: np.random.Generator

    def shapes(self, network: "nn.Module") -> dict[str, tuple[int, ...]]:
        """Shapes of a network's ``logits`` and features by name, without the batch axis."""
        import torch

        trained, weight = network.training, next(network.parameters())
        with torch.no_grad():
            output = network.eval()(torch.zeros(1, *self.image, dtype=weight.dtype, device=weight.device))
        network.train(trained)
        return {"logits": output.logits.shape[1:]} | {name: f.shape[1:] for name, f in output.features.items()}


@dataclass(frozen=True)
class Method(Component):
    """The loss of a method; its parameters are the fields of a subclass.

    ``knowledge`` is what it distils, where that is not what its needs say: labels without a teacher, soft labels at
    the output from logits, features of intermediate layers.

    ``initial`` is the rule of the initial weights of its own modules, where that is not the run's. Modules of
    ``parts`` that ``hands_on`` names are kept with the weights of a run. A stage whose method ``takes_on`` some goes on
    from such a run (``init``), of the same teacher: its own modules of these names begin as they were left.
    """

    needs: ClassVar[Needs] = Needs()
    knowledge: ClassVar[Knowledge | None] = None
    initial: ClassVar[Initial | None] = None
    hands_on: ClassVar[tuple[str, ...]] = ()
    takes_on: ClassVar[tuple[str, ...]] = ()

    @property
    def distilled(self) -> Knowledge:
        """What it distils."""
        return self.knowledge or _PLAIN[self.needs.teacher]

    def compare(self, student: Features, teacher: Features) -> None:
        """Refuse two networks whose features it cannot compare (RecipeError); imports no torch."""

    def parts(self, setup: Setup) -> "nn.Module":
        """Its own modules, none unless a subclass says so.

        Parameters that take a gradient are trained with the first network; their initial weights are drawn afterwards
        by the rule of the run, or by the method's. Everything else keeps the values that it is given here: buffers are
        its state. All of it is checkpointed, and none of it is kept when the run ends but what ``hands_on`` names.
        """
        from torch import nn

        return nn.Module()

    def draws(self, setup: Setup, generator: np.random.Generator) -> Mapping[str, NDArray[Any]]:
        """What it needs of chance in an epoch, arrays of the same shapes and types in each; none unless it says so."""
        return {}

    def loss(self, k: int, batch: Batch, outputs: Outputs) -> "dict[str, Tensor]":
        """The named terms of network ``k``'s loss, to be summed; each is a scalar, the mean over the batch.

        Never reads a value back to the host: a step is captured as a CUDA graph. State in buffers is changed in place.
        """
        raise NotImplementedError

    def class_similarity(self) -> NDArray[np.float64] | None:
        """What it takes for the similarity of the classes (C, C), if it does; read from a file, without torch."""
        return None

    def after_step(self, batch: Batch, outputs: Outputs) -> None:
        """What it does after the networks were updated, as a moving average does; without gradients, in place."""


@dataclass(frozen=True)
class Synthesiser(Component):
    """Makes images from a teacher alone: what the teacher is to say of each, and how far it is from saying so."""

    count: int

    def classes(self, n: int) -> NDArray[np.int64]:
        """The class (count,) that each image is made for, of ``n``."""
        raise NotImplementedError

    def targets(self, weights: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.float64]:
        """What the teacher is to say of each image (count, C), from its last layer's ``weights`` (C, D)."""
        raise NotImplementedError

    def loss(self, target: "Tensor", logits: "Tensor") -> "Tensor":
        """How far logits (N, C) are from targets (N, C), (N,)."""
        raise NotImplementedError
