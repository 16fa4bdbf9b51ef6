"""The example plug-ins' losses against independent computations in float64."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from bench import registry
from bench.methods.base import Batch, Outputs, Setup
from bench.networks.modules.base import Output


def output(logits: np.ndarray, pool: np.ndarray) -> Output:
    return Output(torch.from_numpy(logits), {"pool": torch.from_numpy(pool)})


def batch_of(labels: np.ndarray, progress: float = 0.0, **draws: np.ndarray) -> Batch:
    n = len(labels)
    return Batch(
        torch.zeros(n, 1, 2, 2, dtype=torch.float64),
        torch.from_numpy(labels),
        torch.arange(n),
        torch.tensor(progress, dtype=torch.float64),
        {name: torch.from_numpy(draw) for name, draw in draws.items()},
    )


def huber(a: np.ndarray, b: np.ndarray) -> float:
    d = np.abs(a - b)
    return float(np.where(d < 1, 0.5 * d**2, d - 0.5).mean())


def test_rkd_by_its_sums() -> None:
    draws, n = np.random.default_rng(0), 5
    logits, y = draws.normal(size=(n, 3)), draws.integers(0, 3, n)
    features = [draws.normal(size=(n, 4)), draws.normal(size=(n, 6))]
    relations = []
    for f in features:
        d = np.array([[math.dist(a, b) for b in f] for a in f])
        angles = np.zeros((n, n, n))
        for i, j, k in np.ndindex(n, n, n):
            one, other = f[j] - f[i], f[k] - f[i]
            if i not in (j, k):
                angles[i, j, k] = one @ other / (np.linalg.norm(one) * np.linalg.norm(other))
        relations.append((d / (d.sum() / (n * n - n)), angles))
    outputs = Outputs([output(logits, features[0])], [output(logits, features[1])], nn.Module(), [], None)
    terms = registry.METHODS["own_rkd"](distance=2.0, angle=3.0).loss(0, batch_of(y), outputs)
    assert terms["distance"].item() == pytest.approx(2 * huber(relations[0][0], relations[1][0]), rel=1e-6)
    assert terms["angle"].item() == pytest.approx(3 * huber(relations[0][1], relations[1][1]), rel=1e-6)


class Pool(nn.Module):
    """A network whose feature ``pool`` has ``width`` numbers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width, self.weight = width, nn.Parameter(torch.zeros(()))

    def forward(self, x: torch.Tensor) -> Output:
        return Output(x.new_zeros(len(x), 3), {"pool": x.new_zeros(len(x), self.width)})


def contrast(labels: np.ndarray, **params: float) -> tuple:
    """CRD with its parts in float64, for networks whose features have 4 and 6 numbers."""
    method = registry.METHODS["own_crd"](**params)
    setup = Setup(3, (), labels, (1, 2, 2), [Pool(4)], [Pool(6)], np.random.default_rng(1))
    return method, method.parts(setup).double(), method.draws(setup, np.random.default_rng(2))


def test_negatives_are_uniform_over_the_images_of_other_classes() -> None:
    labels = np.array([2, 0, 1, 1, 0, 2, 2, 0, 1, 1])
    method, parts, draws = contrast(labels, negatives=20_000, dim=3)
    index = method._contrasted(parts, batch_of(labels, **draws)).numpy()
    for i, (own, *negatives) in enumerate(index):
        assert own == i
        others = np.flatnonzero(labels != labels[i])
        counts = np.bincount(negatives, minlength=len(labels))
        assert set(np.flatnonzero(counts)) == set(others)
        np.testing.assert_allclose(counts[others] / 20_000, 1 / len(others), atol=0.02)


def test_crd_by_its_sums() -> None:
    labels = np.array([0, 1, 2, 0, 1, 2, 1])
    method, parts, drawn = contrast(labels, negatives=5, dim=3, beta=0.7, temperature=0.5)
    draws = np.random.default_rng(3)
    features = [draws.normal(size=(len(labels), 4)), draws.normal(size=(len(labels), 6))]
    batch = batch_of(labels, **drawn)
    index = method._contrasted(parts, batch).numpy()
    embedded = []
    for linear, feature in zip(parts.embed, features, strict=True):
        e = feature @ linear.weight.detach().numpy().T + linear.bias.detach().numpy()
        embedded.append(e / np.linalg.norm(e, axis=1, keepdims=True))
    memories = [parts.student_memory.numpy().copy(), parts.teacher_memory.numpy().copy()]
    expected = 0.0
    for e, memory in ((embedded[1], memories[0]), (embedded[0], memories[1])):
        scores = np.array([[math.exp(memory[j] @ e[i] / 0.5) for j in index[i]] for i in range(len(e))])
        p, noise = scores / (scores.mean() * len(labels)), 5 / len(labels)
        for row in p:
            expected -= math.log(row[0] / (row[0] + noise + 1e-7)) / len(e)
            expected -= sum(math.log(noise / (q + noise + 1e-7)) for q in row[1:]) / len(e)
    logits = np.zeros((len(labels), 3))
    outputs = Outputs([output(logits, features[0])], [output(logits, features[1])], parts, [], None)
    terms = method.loss(0, batch, outputs)
    assert terms["crd"].item() == pytest.approx(0.7 * expected, rel=1e-9)
    for memory, before, e in zip((parts.student_memory, parts.teacher_memory), memories, embedded, strict=True):
        mixed = 0.5 * before + 0.5 * e
        np.testing.assert_allclose(memory.numpy(), mixed / np.linalg.norm(mixed, axis=1, keepdims=True), rtol=1e-9)


def test_the_mean_teacher_is_a_plain_mean_that_becomes_a_moving_one() -> None:
    student = nn.Linear(2, 2).double()
    setup = Setup(2, (), np.zeros(1, dtype=np.int64), (1, 2, 1), [student], [], np.random.default_rng(0))
    method = registry.METHODS["mean_teacher"](weight=1.0, decay=0.75)
    parts = method.parts(setup).double()
    draws = np.random.default_rng(1)
    expected: np.ndarray | None = None
    for step in range(6):
        value = draws.normal(size=(2, 2))
        student.weight.data.copy_(torch.from_numpy(value))
        with torch.no_grad():
            method.after_step(batch_of(np.zeros(1, dtype=np.int64)), Outputs([], [], parts, [student], None))
        keep = min(step / (step + 1), 0.75)
        expected = value if expected is None else keep * expected + (1 - keep) * value
        np.testing.assert_allclose(parts.average.weight.numpy(), expected, rtol=1e-12)
    assert not any(parameter.requires_grad for parameter in parts.parameters())


def test_the_consistency_rises() -> None:
    own, other = torch.tensor([[0.0, math.log(3)]]).double(), torch.zeros(1, 2).double()
    parts = nn.Module()
    parts.average = None
    outputs = Outputs([Output(own, {})], [], parts, [], lambda network, images: Output(other, {}))
    for progress in (0.0, 0.5, 1.0):
        terms = registry.METHODS["mean_teacher"](weight=2.0, decay=0.9).loss(
            0, batch_of(np.array([0]), progress), outputs
        )
        # p = (1/4, 3/4) against (1/2, 1/2): the squares are 1/16 each.
        assert terms["consistency"].item() == pytest.approx(2 * math.exp(-5 * (1 - progress) ** 2) / 16)
