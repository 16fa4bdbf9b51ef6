"""A method's loss of outputs made by hand."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from bench.methods.base import Batch, Method, Outputs, Setup
from bench.networks.initial import initialise
from bench.networks.modules.base import Output
from bench.rng import generator
from bench.schema import Distances

WORDS = Distances("words", Path("words.csv"), "0" * 16)  # for tests that give the distances themselves


Shapes = Sequence[tuple[int, int]]
# Stages of a student and of its teacher: channels and sides, of which all, some and none differ.
STUDENT: Shapes = ((2, 8), (3, 4), (4, 2))
TEACHER: Shapes = ((3, 4), (2, 8), (4, 2))


class Fixed(nn.Module):
    """A network that gives one output, whatever it is shown."""

    def __init__(self, output: Output) -> None:
        super().__init__()
        self.output, self.weight = output, nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, x: Tensor) -> Output:
        return Output(self.output.logits[:1], {name: f[:1] for name, f in self.output.features.items()})


def output_of(seed: int, stages: Shapes, n: int = 3, classes: int = 5, pool: int = 6) -> Output:
    """Random logits and features of a network with such stages; its stem is as wide as the first one."""
    draws = np.random.default_rng(seed)
    features = {"stem": draws.normal(size=(n, stages[0][0], stages[0][1], stages[0][1]))}
    for i, (channels, side) in enumerate(stages, 1):
        before = draws.normal(size=(n, channels, side, side))
        features |= {f"stage{i}": np.maximum(before, 0), f"stage{i}.before": before}
    features["pool"] = draws.normal(size=(n, pool))
    tensors = {name: torch.from_numpy(f) for name, f in features.items()}
    return Output(torch.from_numpy(2 * draws.normal(size=(n, classes))), tensors)


def drawn(seed: int, n: int, classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits (n, classes) of a student and of its teacher, and labels (n,)."""
    draws = np.random.default_rng(seed)
    return draws.normal(0, 3, (n, classes)), draws.normal(0, 3, (n, classes)), draws.integers(0, classes, n)


def pair_of(seed: int, n: int = 3, *, student: Shapes = STUDENT, teacher: Shapes = TEACHER) -> tuple[Output, Output]:
    """A student and its teacher, of other widths after the mean too."""
    return output_of(seed, student, n), output_of(seed + 1, teacher, n, pool=4)


def parts_of(method: Method, student: Output, teacher: Output, labels: np.ndarray | None = None) -> nn.Module:
    """A method's modules for two networks, in float64."""
    labels = np.zeros(len(student.logits), dtype=np.int64) if labels is None else labels
    setup = Setup(5, (), labels, (3, 8, 8), [Fixed(student)], [Fixed(teacher)], np.random.default_rng(3))
    parts = method.parts(setup).double()
    initialise(parts, generator(1, "weights/method"), "framework")
    return parts


def stage_pairs(student: Output, teacher: Output, place: str = "") -> list[tuple[np.ndarray, np.ndarray]]:
    """What each stage gives in both networks."""
    both = [[o.features[f"stage{i}{place}"].detach().numpy() for i in (1, 2, 3)] for o in (student, teacher)]
    return list(zip(*both, strict=True))


def pools(student: Output, teacher: Output) -> list[np.ndarray]:
    """The features after the mean."""
    return [o.features["pool"].detach().numpy() for o in (student, teacher)]


def shrunk(feature: np.ndarray, side: int) -> np.ndarray:
    """Means of equal windows, (N, C, side, side)."""
    n, channels, own, _ = feature.shape
    step = own // side
    return feature.reshape(n, channels, side, step, side, step).mean(axis=(3, 5))


def of_one_size(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both at the smaller side."""
    side = min(one.shape[2], other.shape[2])
    return shrunk(one, side), shrunk(other, side)


def outputs_of(logits: Sequence[Tensor]) -> list[Output]:
    return [Output(each, {}) for each in logits]


def terms(
    method: Method,
    students: Sequence[Output],
    labels: Tensor,
    teachers: Sequence[Output] = (),
    *,
    k: int = 0,
    progress: float = 0.0,
    parts: nn.Module | None = None,
) -> dict[str, Tensor]:
    """What the method's loss gives for network ``k``."""
    share = torch.tensor(progress, dtype=students[k].logits.dtype)
    batch = Batch(torch.zeros(len(labels), 1, 2, 2), labels, torch.arange(len(labels)), share, {})
    return method.loss(k, batch, Outputs(students, teachers, parts or nn.Module(), [], lambda network, x: network(x)))


def softmax(z: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Of one image's logits, softened."""
    return np.exp((z - z.max()) / temperature) / np.exp((z - z.max()) / temperature).sum()


def case_of_words(seed: int, n: int, classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distances between classes, logits and labels."""
    draws = np.random.default_rng(seed)
    upper = np.triu(draws.uniform(0, 6, (classes, classes)), k=1)
    return upper + upper.T, draws.normal(0, 3, (n, classes)), draws.integers(0, classes, n)
