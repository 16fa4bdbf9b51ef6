import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bench.methods.ffdwv import FFDWV
from tests.methods.contract import WORDS, case_of_words, outputs_of, softmax, terms

READINGS = ("vectors", "rows")
SIZES = {"seed": st.integers(0, 2**32), "n": st.integers(1, 6), "classes": st.integers(2, 7)}


def loss(words: np.ndarray, reading: str, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
    method = FFDWV(WORDS, reading)
    return terms(method, outputs_of([logits]), labels, parts=method.table(words))


def soft_label(words: np.ndarray, reading: str, y: int) -> list[float]:
    """Eq. 7, for class y; `rows` takes the distance between two classes' rows of distances instead."""
    count = range(len(words))
    if reading == "rows":
        distance = [math.sqrt(sum((words[y, m] - words[c, m]) ** 2 for m in count)) for c in count]
    else:
        distance = [words[y, c] for c in count]
    return [math.exp(-distance[c]) / sum(math.exp(-d) for d in distance) for c in count]


@pytest.mark.parametrize("reading", READINGS)
@given(**SIZES)
@settings(max_examples=25, deadline=None)
def test_eq_7_to_9_averaged_over_the_batch(reading: str, seed: int, n: int, classes: int) -> None:
    words, z, y = case_of_words(seed, n, classes)
    ce = soft = 0.0
    for i in range(n):
        p, s = softmax(z[i]), soft_label(words, reading, y[i])
        ce += -math.log(p[y[i]]) / n
        soft += sum(s[c] * math.log(s[c] / p[c]) for c in range(classes)) / n
    found = loss(words, reading, torch.from_numpy(z), torch.from_numpy(y))
    assert list(found) == ["ce", "soft"]
    assert found["ce"].item() == pytest.approx(ce, rel=1e-9)
    assert found["soft"].item() == pytest.approx(soft, rel=1e-9, abs=1e-12)


@given(**SIZES)
@settings(max_examples=25, deadline=None)
def test_it_is_label_smoothing_towards_the_soft_label(seed: int, n: int, classes: int) -> None:
    # CE(y, p) + KL(S || p) = 2 CE((y + S) / 2, p) - H(S)
    words, z, y = case_of_words(seed, n, classes)
    expected = 0.0
    for i in range(n):
        s, log_p = np.array(soft_label(words, "vectors", y[i])), np.log(softmax(z[i]))
        target = (np.eye(classes)[y[i]] + s) / 2
        expected += (-2 * (target * log_p).sum() + (s * np.log(s)).sum()) / n
    found = loss(words, "vectors", torch.from_numpy(z), torch.from_numpy(y))
    assert (found["ce"] + found["soft"]).item() == pytest.approx(expected, rel=1e-9)


def test_by_hand() -> None:
    # Weights exp(-d): class 0 has 1, 1/2, 1/4, so S_0 = (4, 2, 1) / 7; class 1 has 1/2, 1, 1/2, so S_1 = (1, 2, 1) / 4.
    # With p = 1/3 everywhere, CE = log 3 = 1.098612 and KL = log 3 - H(S):
    #   H(S_0) = 4/7 log 7/4 + 2/7 log 7/2 + 1/7 log 7 = 0.955700, KL 0.142912
    #   H(S_1) = 2 (1/4) log 4 + 1/2 log 2             = 1.039721, KL 0.058891
    words = np.log([[1.0, 2.0, 4.0], [2.0, 1.0, 2.0], [4.0, 2.0, 1.0]])
    found = loss(words, "vectors", torch.zeros(2, 3, dtype=torch.float64), torch.tensor([0, 1]))
    assert found["ce"].item() == pytest.approx(1.098612, abs=1e-6)
    assert found["soft"].item() == pytest.approx((0.142912 + 0.058891) / 2, abs=1e-6)


def test_by_hand_between_rows() -> None:
    # Rows (0, d) and (d, 0) are sqrt(2) d apart: d = log 3 / sqrt(2) gives S_0 = (3/4, 1/4).
    # With p = (1/2, 1/2): KL = 3/4 log 3/2 + 1/4 log 1/2 = 0.130812.
    d = math.log(3) / math.sqrt(2)
    found = loss(np.array([[0.0, d], [d, 0.0]]), "rows", torch.zeros(1, 2, dtype=torch.float64), torch.tensor([0]))
    assert found["soft"].item() == pytest.approx(0.130812, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("distance", [50.0, 500.0, 5000.0])
def test_a_soft_label_that_underflows_is_one_hot(distance: float, reading: str, dtype: torch.dtype) -> None:
    # S = y, so that the second term is the first one again, and the gradient is 2 (p - y).
    words = distance * (1 - np.eye(3))
    logits = torch.tensor([[1.0, -2.0, 0.5]], dtype=dtype, requires_grad=True)
    found = loss(words, reading, logits, torch.tensor([2]))
    assert found["soft"].item() == pytest.approx(found["ce"].item(), rel=1e-6)
    (found["ce"] + found["soft"]).backward()
    expected = 2 * (softmax(np.array([1.0, -2.0, 0.5])) - [0, 0, 1])
    np.testing.assert_allclose(logits.grad.numpy()[0], expected, rtol=1e-5)


def test_bf16_logits_are_upcast_before_the_softmax() -> None:
    words, labels = case_of_words(0, 1, 3)[0], torch.tensor([0])
    logits = torch.tensor([[0.5, -3.0, 2.0]], dtype=torch.bfloat16)  # all of them exact in bf16
    exact = loss(words, "vectors", logits.double(), labels)
    for name, term in loss(words, "vectors", logits, labels).items():
        assert term.dtype == torch.float32
        assert term.item() == pytest.approx(exact[name].item(), rel=1e-6)


def test_float64_stays() -> None:
    found = loss(case_of_words(0, 1, 3)[0], "vectors", torch.zeros(1, 3, dtype=torch.float64), torch.tensor([0]))
    assert {term.dtype for term in found.values()} == {torch.float64}
