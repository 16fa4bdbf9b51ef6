import math
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bench.methods.fsp import FSP
from bench.networks.initial import initialise
from bench.networks.modules.base import Output
from bench.networks.resnet import ResNet
from bench.rng import generator
from tests.methods.contract import terms

PAIRS = {
    "sections": [("stage1.first", "stage1"), ("stage2.first", "stage2"), ("stage3.first", "stage3")],
    "cross": [("stem", "stage1"), ("stage1", "stage2"), ("stage2", "stage3")],
}
MATRICES = sorted(PAIRS)
CASES = {
    "seed": st.integers(0, 2**32),
    "n": st.integers(1, 3),
    "channels": st.integers(1, 4),
    "width": st.integers(2, 3),
}
Features = Mapping[str, np.ndarray]


def drawn(seed: int, n: int, channels: int, width: int) -> dict[str, np.ndarray]:
    """Features of a network whose sections are 2, 1 and 1 times ``width`` wide, each layer with its own channels."""
    draws, features = np.random.default_rng(seed), {}
    for i, name in enumerate(sorted({name for pairs in PAIRS.values() for pair in pairs for name in pair})):
        side = 2 * width if name in ("stem", "stage1", "stage1.first", "stage2.first") else width
        features[name] = draws.normal(size=(n, channels + i % 3, side, side))
    return features


def pooled(feature: np.ndarray, side: int, how: str) -> np.ndarray:
    """Windows of equal size, one number each: their largest, or their mean."""
    step, take = feature.shape[2] // side, {"sections": np.max, "cross": np.mean}[how]
    rows = range(0, feature.shape[2], step)
    return np.stack(
        [np.stack([take(feature[:, :, r : r + step, c : c + step], axis=(2, 3)) for c in rows], -1) for r in rows], -2
    )


def matrix(features: Features, i: int, pair: tuple[str, str], how: str) -> np.ndarray:
    """Eq. 1 for image i, by its sums."""
    side = min(features[name].shape[2] for name in pair)
    one, other = (pooled(features[name], side, how)[i] for name in pair)
    g = np.zeros((len(one), len(other)))
    for a, b, s, t in np.ndindex(len(one), len(other), side, side):
        g[a, b] += one[a, s, t] * other[b, s, t] / (side * side)
    return g


def by_hand(student: Features, teacher: Features, weight: float, how: str) -> float:
    """Eq. 2."""
    total, n = 0.0, len(student["stem"])
    for i in range(n):
        for pair in PAIRS[how]:
            squares = (matrix(teacher, i, pair, how) - matrix(student, i, pair, how)) ** 2
            total += weight * (squares.sum() if how == "sections" else squares.mean()) / n
    return total


def output(features: Features, kind: torch.dtype = torch.float64, *, learns: bool = False) -> Output:
    found = {name: torch.from_numpy(f).to(kind).requires_grad_(learns) for name, f in features.items()}
    return Output(torch.zeros(len(features["stem"]), 2), found)


def loss(how: str, weight: float, student: Output, teacher: Output) -> Tensor:
    labels = torch.zeros(len(student.logits), dtype=torch.int64)
    found = terms(FSP(weight, how), [student], labels, [teacher])
    assert list(found) == ["fsp"]
    return found["fsp"]


@pytest.mark.parametrize("how", MATRICES)
@given(**CASES, weight=st.floats(0.001, 100))
@settings(max_examples=10, deadline=None)
def test_eq_1_and_2(how: str, seed: int, n: int, channels: int, width: int, weight: float) -> None:
    student, teacher = (drawn(s, n, channels, width) for s in (seed, seed + 1))
    expected = by_hand(student, teacher, weight, how)
    assert loss(how, weight, output(student), output(teacher)).item() == pytest.approx(expected, rel=1e-9)


def test_one_entry_by_hand() -> None:
    # One channel, two by two: G = (1·5 + 2·6 + 3·7 + 4·8) / 4 = 17.5 in the teacher. The student's first layer is four
    # by four and has the maxima 1, 2, 3 and 4 in its corners: (1·1 + 2·1 + 3·1 + 4·1) / 4 = 2.5.
    square = np.array([[[[1.0, 2.0], [3.0, 4.0]]]])
    large = np.full((1, 1, 4, 4), -9.0)
    large[0, 0, ::3, ::3] = square
    same = {name: square for pair in PAIRS["sections"] for name in pair} | {"stem": square}
    teacher = same | {"stage1": square + 4}
    student = same | {"stage1.first": large, "stage1": np.ones((1, 1, 2, 2))}
    assert loss("sections", 2.0, output(student), output(teacher)).item() == pytest.approx(2 * (17.5 - 2.5) ** 2)


@pytest.mark.parametrize("how", MATRICES)
def test_the_gradient_is_the_difference_of_the_loss(how: str) -> None:
    features, teacher = drawn(1, 2, 2, 2), output(drawn(2, 2, 2, 2))
    student = output(features, learns=True)
    loss(how, 0.5, student, teacher).backward()
    for name in {name for pair in PAIRS[how] for name in pair}:
        step = 1e-6 * np.random.default_rng(3).normal(size=features[name].shape)
        up, down = (loss(how, 0.5, output(features | {name: features[name] + s}), teacher) for s in (step, -step))
        expected = (student.features[name].grad * torch.from_numpy(step)).sum().item()
        assert (up - down).item() / 2 == pytest.approx(expected, rel=1e-5), name


def test_bf16_features_are_multiplied_in_float32() -> None:
    student, teacher = (drawn(seed, 2, 3, 2) for seed in (1, 2))
    low = [output(f, torch.bfloat16) for f in (student, teacher)]
    exact = [Output(o.logits, {name: f.double() for name, f in o.features.items()}) for o in low]
    found = loss("sections", 1.0, *low)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(loss("sections", 1.0, *exact).item(), rel=1e-5)


@pytest.mark.parametrize("how", MATRICES)
def test_of_a_network(how: str) -> None:
    # From its own feature maps, a network is at no distance from itself; all but its last layer learns from another.
    nets = [ResNet(d, "basic", "A", 0.5).build(10, 3, 8) for d in (8, 14)]
    for seed, net in enumerate(nets, 1):
        initialise(net, generator(seed, "weights/0"))
        net.double()
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(3, 3, 8, 8)))
    (small, large) = (net(x) for net in nets)
    assert loss(how, 1.0, small, small).item() == 0
    found = loss(how, 1.0, small, Output(large.logits.detach(), {n: f.detach() for n, f in large.features.items()}))
    assert math.isfinite(found.item())
    assert found.item() > 0
    found.backward()
    assert {name for name, p in nets[0].named_parameters() if p.grad is None} == {"linear.weight", "linear.bias"}
