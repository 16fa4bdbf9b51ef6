import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bench.methods.kd import DecayingKD
from tests.methods.contract import drawn, outputs_of, softmax, terms


def loss(
    student: Tensor, teacher: Tensor, labels: Tensor, progress: float, temperature: float = 3.0
) -> dict[str, Tensor]:
    method = DecayingKD(temperature, start=4.0, end=1.0)
    return terms(method, outputs_of([student]), labels, outputs_of([teacher]), progress=progress)


@given(
    seed=st.integers(0, 2**32),
    n=st.integers(1, 5),
    classes=st.integers(2, 7),
    temperature=st.floats(0.5, 20),
    progress=st.floats(0, 1, exclude_max=True),
)
@settings(max_examples=25, deadline=None)
def test_eq_2_with_the_weight_of_the_moment(
    seed: int, n: int, classes: int, temperature: float, progress: float
) -> None:
    student, teacher, y = drawn(seed, n, classes)
    hard = soft = 0.0
    for i in range(n):
        p, q = softmax(student[i], temperature), softmax(teacher[i], temperature)
        hard -= math.log(softmax(student[i])[y[i]]) / n
        soft -= sum(q[c] * math.log(p[c]) for c in range(classes)) / n
    found = loss(*map(torch.from_numpy, (student, teacher, y)), progress, temperature)
    assert list(found) == ["ce", "kd"]
    assert found["ce"].item() == pytest.approx(hard, rel=1e-9)
    assert found["kd"].item() == pytest.approx((4 - 3 * progress) * soft, rel=1e-9)


def test_by_hand() -> None:
    # An even student: its cross entropy to any teacher over two classes is log 2; half-way, λ = 2.5.
    teacher = torch.tensor([[0.0, 7.0]], dtype=torch.float64)
    found = loss(torch.zeros_like(teacher), teacher, torch.tensor([1]), 0.5)
    assert found["kd"].item() == pytest.approx(2.5 * math.log(2))


def test_the_gradient_is_that_of_kl() -> None:
    # λ / τ (p − q) over n, with neither τ² nor a trace of the teacher's entropy.
    student, teacher = (torch.tensor([[1.0, -2.0, 0.5]], dtype=torch.float64) * k for k in (1, 2))
    student.requires_grad_()
    loss(student, teacher, torch.tensor([0]), 0.0)["kd"].backward()
    expected = 4 / 3 * (softmax(student[0].detach().numpy(), 3) - softmax(teacher[0].numpy(), 3))
    np.testing.assert_allclose(student.grad.numpy()[0], expected, rtol=1e-9)


def test_bf16_logits_are_upcast_before_the_softmax() -> None:
    student, teacher = torch.tensor([[[0.5, -3.0, 2.0]], [[1.0, 4.0, -0.25]]], dtype=torch.bfloat16)
    exact = loss(student.double(), teacher.double(), torch.tensor([0]), 0.25)
    for name, term in loss(student, teacher, torch.tensor([0]), 0.25).items():
        assert term.dtype == torch.float32
        assert term.item() == pytest.approx(exact[name].item(), rel=1e-5)
