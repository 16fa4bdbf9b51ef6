import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bench.methods.vanilla import LabelSmoothing, Vanilla
from tests.methods.contract import outputs_of, softmax, terms


def loss(logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
    return terms(Vanilla(), outputs_of([logits]), labels)


@given(seed=st.integers(0, 2**32), n=st.integers(1, 6), classes=st.integers(2, 9), scale=st.floats(0, 30))
@settings(max_examples=25, deadline=None)
def test_eq_2_averaged_over_the_batch(seed: int, n: int, classes: int, scale: float) -> None:
    draws = np.random.default_rng(seed)
    z, y = scale * draws.normal(size=(n, classes)), draws.integers(0, classes, n)
    # Eq. 2: minus the sum over the classes of delta_c log p_c, where delta is 1 for the label alone.
    expected = sum(-sum((c == y[i]) * math.log(softmax(z[i])[c]) for c in range(classes)) for i in range(n)) / n
    assert loss(torch.from_numpy(z), torch.from_numpy(y))["ce"].item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_by_hand() -> None:
    # p = (1/4, 3/4): -log p is log 4 for class 0 and log 4/3 for class 1; their mean is 0.836988.
    logits = torch.tensor([[0.0, math.log(3)]] * 2, dtype=torch.float64)
    found = loss(logits, torch.tensor([0, 1]))
    assert list(found) == ["ce"]
    assert found["ce"].item() == pytest.approx(0.836988, abs=1e-6)


def test_another_network_of_the_group_has_its_own_loss() -> None:
    students = outputs_of([torch.zeros(1, 2), torch.tensor([[0.0, math.log(3)]])])
    assert terms(Vanilla(), students, torch.tensor([0]), k=1)["ce"].item() == pytest.approx(math.log(4))


def test_bf16_logits_are_upcast_before_the_softmax() -> None:
    logits = torch.tensor([[0.5, -3.0, 2.0]], dtype=torch.bfloat16)  # all of them exact in bf16
    term = loss(logits, torch.tensor([0]))["ce"]
    assert term.dtype == torch.float32
    assert term.item() == pytest.approx(loss(logits.double(), torch.tensor([0]))["ce"].item(), rel=1e-6)


def test_float64_stays() -> None:
    assert loss(torch.zeros(1, 3, dtype=torch.float64), torch.tensor([0]))["ce"].dtype == torch.float64


@given(seed=st.integers(0, 2**32), n=st.integers(1, 6), classes=st.integers(2, 9), epsilon=st.floats(0.01, 1.0))
@settings(max_examples=25, deadline=None)
def test_smoothed_labels_give_every_class_its_share(seed: int, n: int, classes: int, epsilon: float) -> None:
    draws = np.random.default_rng(seed)
    z, y = draws.normal(size=(n, classes)), draws.integers(0, classes, n)
    expected = 0.0
    for i in range(n):
        target = (1 - epsilon) * np.eye(classes)[y[i]] + epsilon / classes
        expected -= (target * np.log(softmax(z[i]))).sum() / n
    found = terms(LabelSmoothing(epsilon), outputs_of([torch.from_numpy(z)]), torch.from_numpy(y))
    assert list(found) == ["ce"]
    assert found["ce"].item() == pytest.approx(expected, rel=1e-9)


def test_smoothing_by_hand() -> None:
    # p = (1/4, 3/4), the label is 0 and ε = 0.2: the target is (0.9, 0.1), so CE = 0.9 log 4 + 0.1 log 4/3.
    logits = torch.tensor([[0.0, math.log(3)]], dtype=torch.float64)
    found = terms(LabelSmoothing(0.2), outputs_of([logits]), torch.tensor([0]))
    assert found["ce"].item() == pytest.approx(0.9 * math.log(4) + 0.1 * math.log(4 / 3))
