import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bench.methods.hint import Hint
from bench.networks.initial import initialise
from bench.networks.modules.base import Output
from bench.rng import generator
from tests.methods.contract import terms

PAIRS = [("middle", "early"), ("end", "late")]
CHANNELS = [(2, 4), (3, 1)]


def method(pairs: int = 2) -> Hint:
    """The student has 2 and 3 channels, the teacher 4 and 1."""
    hint, guided = zip(*PAIRS[:pairs], strict=True)
    return Hint(hint=hint, guided=guided, channels=tuple(CHANNELS[:pairs]))


def regressors(hint: Hint) -> nn.Module:
    """The method's parts with the weights of seed 1; of what they are made for, they need to know nothing."""
    parts = hint.parts(None)
    initialise(parts, generator(1, "weights/method"))
    return parts


def drawn(seed: int, n: int, side: int, *, student: bool) -> dict[str, np.ndarray]:
    draws = np.random.default_rng(seed)
    return {
        pair[student]: draws.normal(size=(n, channels[not student], side, side))
        for pair, channels in zip(PAIRS, CHANNELS, strict=True)
    }


def output(features: dict[str, np.ndarray], dtype: torch.dtype = torch.float64, *, learns: bool = False) -> Output:
    n = len(features[next(iter(features))])
    found = {name: torch.from_numpy(f).to(dtype).requires_grad_(learns) for name, f in features.items()}
    return Output(torch.zeros(n, 5), found)


def by_hand(parts: nn.Module, student: dict[str, np.ndarray], teacher: dict[str, np.ndarray]) -> float:
    """Half of the squared error, summed over the channels, averaged over images and positions; summed over pairs."""
    total = 0.0
    for k, (one, other) in enumerate(PAIRS[: len(parts.regressors)]):
        weight, bias = (p.detach().numpy() for p in parts.regressors[k].parameters())
        n, _, side, _ = student[other].shape
        for i, s, t in np.ndindex(n, side, side):
            regressed = np.maximum(weight[:, :, 0, 0] @ student[other][i, :, s, t] + bias, 0)
            total += 0.5 * ((teacher[one][i, :, s, t] - regressed) ** 2).sum() / (n * side * side)
    return total


@given(seed=st.integers(0, 2**32), n=st.integers(1, 3), side=st.integers(1, 3), pairs=st.integers(1, 2))
@settings(max_examples=20, deadline=None)
def test_eq_3(seed: int, n: int, side: int, pairs: int) -> None:
    hint = method(pairs)
    parts = regressors(hint).double()
    student, teacher = drawn(seed, n, side, student=True), drawn(seed + 1, n, side, student=False)
    labels = torch.zeros(n, dtype=torch.int64)
    found = terms(hint, [output(student)], labels, [output(teacher)], parts=parts)
    assert list(found) == ["hint"]
    assert found["hint"].item() == pytest.approx(by_hand(parts, student, teacher), rel=1e-9)


def test_student_and_regressor_learn() -> None:
    parts = regressors(method()).double()
    student = output(drawn(1, 2, 3, student=True), learns=True)
    teacher = output(drawn(2, 2, 3, student=False))
    terms(method(), [student], torch.zeros(2), [teacher], parts=parts)["hint"].backward()
    assert all(feature.grad is not None and feature.grad.any() for feature in student.features.values())
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in parts.parameters())


def test_bf16_features_are_compared_in_float32() -> None:
    parts = regressors(method())
    low = [output(drawn(s, 2, 3, student=s == 1), torch.bfloat16) for s in (1, 2)]
    found = terms(method(), low[:1], torch.zeros(2), low[1:], parts=parts)["hint"]
    exact = [{name: f.double().numpy() for name, f in o.features.items()} for o in low]
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(by_hand(parts, *exact), rel=1e-5)
