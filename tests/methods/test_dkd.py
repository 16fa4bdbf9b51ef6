import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.methods.dkd import DKD
from tests.methods.contract import outputs_of, softmax, terms


def divergence(target: np.ndarray, p: np.ndarray) -> float:
    return float(sum(a * math.log(a / b) for a, b in zip(target, p, strict=True)))


@given(
    seed=st.integers(0, 2**32),
    n=st.integers(1, 4),
    classes=st.integers(2, 6),
    temperature=st.floats(0.5, 8),
    progress=st.floats(0, 0.999),
)
@settings(max_examples=30, deadline=None)
def test_eq_6_and_7(seed: int, n: int, classes: int, temperature: float, progress: float) -> None:
    draws = np.random.default_rng(seed)
    own, other = (draws.normal(0, 3, (n, classes)) for _ in range(2))
    labels = draws.integers(0, classes, n)
    target, others = 0.0, 0.0
    for s, t, y in zip(own, other, labels, strict=True):
        p, q = softmax(s / temperature), softmax(t / temperature)
        target += divergence(np.array([q[y], 1 - q[y]]), np.array([p[y], 1 - p[y]])) / n
        rest = np.arange(classes) != y
        others += divergence(q[rest] / q[rest].sum(), p[rest] / p[rest].sum()) / n
    scale = temperature**2 * min(progress / 0.25, 1)
    found = terms(
        DKD(temperature=temperature, target=2.0, others=8.0, warmup=0.25),
        outputs_of([torch.from_numpy(own)]),
        torch.from_numpy(labels),
        outputs_of([torch.from_numpy(other)]),
        progress=progress,
    )
    assert list(found) == ["ce", "target", "others"]
    assert found["target"].item() == pytest.approx(2 * scale * target, rel=1e-7, abs=1e-10)
    assert found["others"].item() == pytest.approx(8 * scale * others, rel=1e-7, abs=1e-10)


def test_by_hand() -> None:
    # Label 0 has 1/2 in the student and 3/4 in the teacher; of the others one has 2/3 and 1/2.
    own = torch.tensor([[3.0, 2.0, 1.0]]).double().log()
    other = torch.tensor([[6.0, 1.0, 1.0]]).double().log()
    found = terms(
        DKD(temperature=1.0, target=1.0, others=1.0), outputs_of([own]), torch.tensor([0]), outputs_of([other])
    )
    assert found["target"].item() == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5))
    assert found["others"].item() == pytest.approx(0.5 * math.log(3 / 4) + 0.5 * math.log(3 / 2))
