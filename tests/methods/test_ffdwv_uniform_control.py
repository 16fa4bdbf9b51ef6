import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bench.methods.ffdwv import FFDWV, FFDWVUniformControl
from tests.methods.contract import WORDS, case_of_words, outputs_of, softmax, terms

READINGS = ("vectors", "rows")
SIZES = {"seed": st.integers(0, 2**32), "n": st.integers(1, 6), "classes": st.integers(2, 7)}


def loss(words: np.ndarray, reading: str, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
    method = FFDWVUniformControl(WORDS, reading)
    return terms(method, outputs_of([logits]), labels, parts=method.table(words))


def own_mass(words: np.ndarray, reading: str, y: int) -> float:
    """What eq. 7 leaves on class y itself, whose distance is 0."""
    row = np.sqrt(((words - words[y]) ** 2).sum(axis=1)) if reading == "rows" else words[y]
    return 1 / sum(math.exp(-d) for d in row)


@pytest.mark.parametrize("reading", READINGS)
@given(**SIZES)
@settings(max_examples=25, deadline=None)
def test_ce_and_kl_to_an_even_soft_label(reading: str, seed: int, n: int, classes: int) -> None:
    words, z, y = case_of_words(seed, n, classes)
    ce = soft = 0.0
    for i in range(n):
        p, own = softmax(z[i]), own_mass(words, reading, y[i])
        u = [own if c == y[i] else (1 - own) / (classes - 1) for c in range(classes)]
        ce += -math.log(p[y[i]]) / n
        soft += sum(u[c] * math.log(u[c] / p[c]) for c in range(classes)) / n
    found = loss(words, reading, torch.from_numpy(z), torch.from_numpy(y))
    assert list(found) == ["ce", "soft"]
    assert found["ce"].item() == pytest.approx(ce, rel=1e-9)
    assert found["soft"].item() == pytest.approx(soft, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("reading", READINGS)
@given(seed=st.integers(0, 2**32), classes=st.integers(2, 20))
@settings(max_examples=25, deadline=None)
def test_rows_sum_to_1_and_keep_the_own_mass_of_ffdwv(reading: str, seed: int, classes: int) -> None:
    words = case_of_words(seed, 1, classes)[0]
    uniform = FFDWVUniformControl(WORDS, reading).table(words).log_table.exp()
    worded = FFDWV(WORDS, reading).table(words).log_table.exp()
    torch.testing.assert_close(uniform.sum(dim=1), torch.ones(classes, dtype=torch.float64))
    torch.testing.assert_close(uniform.diagonal(), worded.diagonal())


def test_with_two_classes_it_is_ffdwv() -> None:
    words = np.array([[0.0, 1.5], [1.5, 0.0]])
    uniform, worded = (kind(WORDS, "vectors").table(words).log_table for kind in (FFDWVUniformControl, FFDWV))
    torch.testing.assert_close(uniform, worded)


def test_by_hand() -> None:
    # FFDWV gives class 0 (4, 2, 1) / 7: U_0 keeps 4/7 and has 3/14 twice. Class 1 has (1, 2, 1) / 4, even already.
    # With p = 1/3 everywhere, KL = log 3 - H(U):
    #   H(U_0) = 4/7 log 7/4 + 2 (3/14) log 14/3 = 0.979971, KL 0.118642
    #   H(U_1) = 2 (1/4) log 4 + 1/2 log 2       = 1.039721, KL 0.058891
    words = np.log([[1.0, 2.0, 4.0], [2.0, 1.0, 2.0], [4.0, 2.0, 1.0]])
    found = loss(words, "vectors", torch.zeros(2, 3, dtype=torch.float64), torch.tensor([0, 1]))
    assert found["ce"].item() == pytest.approx(1.098612, abs=1e-6)
    assert found["soft"].item() == pytest.approx((0.118642 + 0.058891) / 2, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("distance", [50.0, 500.0, 5000.0])
def test_a_soft_label_that_underflows_is_one_hot(distance: float, dtype: torch.dtype) -> None:
    found = loss(
        distance * (1 - np.eye(3)), "vectors", torch.tensor([[1.0, -2.0, 0.5]], dtype=dtype), torch.tensor([2])
    )
    assert found["soft"].item() == pytest.approx(found["ce"].item(), rel=1e-6)


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
