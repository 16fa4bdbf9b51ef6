import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.methods.kd import SoftTargets
from tests.methods.contract import outputs_of, terms


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def loss(student, teacher, temperature):
    own, other = (outputs_of([torch.as_tensor(z)]) for z in (student, teacher))
    return terms(SoftTargets(temperature), own, torch.zeros(len(student), dtype=torch.int64), other)


@given(st.integers(0, 1000), st.floats(1.0, 40.0))
def test_is_t_squared_times_the_divergence(seed: int, temperature: float) -> None:
    draws = np.random.default_rng(seed)
    student, teacher = draws.standard_normal((4, 6)) * 3, draws.standard_normal((4, 6)) * 3
    p, q = softmax(teacher / temperature), softmax(student / temperature)
    found = loss(student, teacher, temperature)
    assert list(found) == ["kd"]
    np.testing.assert_allclose(found["kd"].item(), temperature**2 * (p * np.log(p / q)).sum(1).mean(), rtol=1e-9)


def test_by_hand() -> None:
    # T = 2: the teacher says 3/4 and 1/4, the student 1/2 and 1/2.
    found = loss(np.array([[0.0, 0.0]]), np.array([[2 * np.log(3), 0.0]]), 2.0)
    np.testing.assert_allclose(found["kd"].item(), 4 * (0.75 * np.log(1.5) + 0.25 * np.log(0.5)), rtol=1e-12)


def test_the_gradient_goes_to_the_student_alone() -> None:
    student = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(3, 4, dtype=torch.float64)
    loss(student, teacher, 20.0)["kd"].backward()
    assert student.grad is not None
    # The T² keeps the gradient's size: near (q - p) of logits that are close together.
    expected = 20 * (torch.softmax(student / 20, 1) - torch.softmax(teacher / 20, 1)) / 3
    torch.testing.assert_close(student.grad, expected.detach())
