import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bench.methods.kd import KD
from tests.methods.contract import drawn, outputs_of, softmax, terms

SOFTEN = ("both", "teacher")
CASES = {
    "seed": st.integers(0, 2**32),
    "n": st.integers(1, 6),
    "classes": st.integers(2, 9),
    "temperature": st.floats(0.5, 20),
}


def loss(temperature: float, soften: str, student: Tensor, teacher: Tensor, labels: Tensor) -> dict[str, Tensor]:
    return terms(KD(temperature, soften), outputs_of([student]), labels, outputs_of([teacher]))


@pytest.mark.parametrize("soften", SOFTEN)
@given(**CASES)
@settings(max_examples=25, deadline=None)
def test_eq_3_to_5_averaged_over_the_batch(soften: str, seed: int, n: int, classes: int, temperature: float) -> None:
    student, teacher, y = drawn(seed, n, classes)
    ce = kl = 0.0
    for i in range(n):
        p, target = softmax(student[i], temperature if soften == "both" else 1.0), softmax(teacher[i], temperature)
        ce += -math.log(softmax(student[i])[y[i]]) / n
        kl += sum(target[c] * math.log(target[c] / p[c]) for c in range(classes)) / n
    found = loss(temperature, soften, *map(torch.from_numpy, (student, teacher, y)))
    assert list(found) == ["ce", "kd"]
    assert found["ce"].item() == pytest.approx(ce, rel=1e-9)
    assert found["kd"].item() == pytest.approx(temperature**2 * kl, rel=1e-8, abs=1e-11)


@pytest.mark.parametrize("soften", SOFTEN)
@given(**CASES)
@settings(max_examples=25, deadline=None)
def test_the_gradient_in_closed_form(soften: str, seed: int, n: int, classes: int, temperature: float) -> None:
    # (p - y) + T² / T_s (p_s - q) over n: p_s is the student at its own temperature T_s, q the teacher at T.
    student, teacher, y = drawn(seed, n, classes)
    own = temperature if soften == "both" else 1.0
    expected = [
        softmax(student[i])
        - np.eye(classes)[y[i]]
        + temperature**2 / own * (softmax(student[i], own) - softmax(teacher[i], temperature))
        for i in range(n)
    ]
    logits = torch.from_numpy(student).requires_grad_()
    found = loss(temperature, soften, logits, torch.from_numpy(teacher), torch.from_numpy(y))
    (found["ce"] + found["kd"]).backward()
    np.testing.assert_allclose(logits.grad.numpy(), np.array(expected) / n, rtol=1e-8, atol=1e-10)


def by_hand(soften: str) -> float:
    """T = 2, both networks' logits (0, log 9): p is (1/10, 9/10) at T = 1 and (1/4, 3/4) at T = 2."""
    logits = torch.tensor([[0.0, math.log(9)]], dtype=torch.float64)
    return loss(2.0, soften, logits, logits, torch.tensor([0]))["kd"].item()


def test_by_hand_both_softened_agree() -> None:
    assert by_hand("both") == pytest.approx(0.0, abs=1e-12)


def test_by_hand_the_teacher_alone_is_softened() -> None:
    # KL((1/4, 3/4) || (1/10, 9/10)) = 1/4 log 5/2 + 3/4 log 5/6 = 0.092332, and T² = 4 times that.
    assert by_hand("teacher") == pytest.approx(4 * 0.092332, abs=4e-6)


def test_by_hand_even_student() -> None:
    # KL((1/4, 3/4) || (1/2, 1/2)) = 1/4 log 1/2 + 3/4 log 3/2 = 0.130812, times 4; CE = log 2.
    teacher = torch.tensor([[0.0, math.log(9)]], dtype=torch.float64)
    found = loss(2.0, "both", torch.zeros_like(teacher), teacher, torch.tensor([0]))
    assert found["kd"].item() == pytest.approx(4 * 0.130812, abs=4e-6)
    assert found["ce"].item() == pytest.approx(math.log(2))


def test_a_teacher_that_is_certain_gives_finite_numbers() -> None:
    # Its other probability underflows: 0 log 0 is 0, and KL is -log p of the class that it is certain of.
    student = torch.zeros(1, 2, requires_grad=True)
    found = loss(1.0, "both", student, torch.tensor([[0.0, 1e4]]), torch.tensor([0]))
    assert found["kd"].item() == pytest.approx(math.log(2))
    found["kd"].backward()
    torch.testing.assert_close(student.grad, torch.tensor([[0.5, -0.5]]))


def test_bf16_logits_are_upcast_before_the_softmax() -> None:
    # All of them are exact in bf16, but not what they are divided into.
    student, teacher = torch.tensor([[[0.5, -3.0, 2.0]], [[1.0, 4.0, -0.25]]], dtype=torch.bfloat16)
    labels = torch.tensor([0])
    exact = loss(3.0, "both", student.double(), teacher.double(), labels)
    for name, term in loss(3.0, "both", student, teacher, labels).items():
        assert term.dtype == torch.float32
        assert term.item() == pytest.approx(exact[name].item(), rel=1e-5)


def test_float64_stays() -> None:
    zeros = torch.zeros(1, 3, dtype=torch.float64)
    assert {term.dtype for term in loss(3.0, "both", zeros, zeros, torch.tensor([0])).values()} == {torch.float64}


@given(**CASES, alpha=st.floats(0, 5), hard=st.floats(0, 5))
@settings(max_examples=10, deadline=None)
def test_the_terms_have_their_weights(
    seed: int, n: int, classes: int, temperature: float, alpha: float, hard: float
) -> None:
    student, teacher, y = map(torch.from_numpy, drawn(seed, n, classes))
    plain = loss(temperature, "both", student, teacher, y)
    weighted = terms(KD(temperature, "both", alpha, hard), outputs_of([student]), y, outputs_of([teacher]))
    assert weighted["kd"].item() == pytest.approx(alpha * plain["kd"].item(), rel=1e-12)
    assert weighted["ce"].item() == pytest.approx(hard * plain["ce"].item(), rel=1e-12)


@given(**CASES, teachers=st.integers(2, 4))
@settings(max_examples=25, deadline=None)
def test_of_several_teachers_the_mean_of_their_probabilities_is_learned(
    seed: int, n: int, classes: int, temperature: float, teachers: int
) -> None:
    draws = np.random.default_rng(seed)
    student, y = draws.normal(0, 3, (n, classes)), draws.integers(0, classes, n)
    taught = draws.normal(0, 3, (teachers, n, classes))
    kl = 0.0
    for i in range(n):
        p = softmax(student[i], temperature)
        target = np.mean([softmax(each[i], temperature) for each in taught], axis=0)
        kl += (target * np.log(target / p)).sum() / n
    found = terms(
        KD(temperature, "both"),
        outputs_of([torch.from_numpy(student)]),
        torch.from_numpy(y),
        outputs_of([torch.from_numpy(each) for each in taught]),
    )
    assert found["kd"].item() == pytest.approx(temperature**2 * kl, rel=1e-8, abs=1e-11)
