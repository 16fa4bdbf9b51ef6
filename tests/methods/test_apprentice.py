import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.methods.apprentice import Apprentice
from bench.methods.kd import KD
from tests.methods.contract import outputs_of, softmax, terms

PUBLISHED = Apprentice(teacher=1.0, student=0.5, distillation=0.5)
CASES = {"seed": st.integers(0, 2**32), "n": st.integers(1, 5), "classes": st.integers(2, 8)}


def drawn(seed: int, n: int, classes: int, networks: int = 2) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Logits of the student and of its teachers, and labels."""
    draws = np.random.default_rng(seed)
    logits = [torch.from_numpy(draws.normal(0, 3, (n, classes))) for _ in range(networks)]
    return logits, torch.from_numpy(draws.integers(0, classes, n))


@given(**CASES, weights=st.tuples(*[st.floats(0, 3)] * 3), networks=st.integers(2, 3))
@settings(max_examples=30, deadline=None)
def test_the_three_terms_summed_over_the_networks(seed, n, classes, weights, networks) -> None:
    logits, labels = drawn(seed, n, classes, networks)
    method = Apprentice(*weights)
    alpha, beta, gamma = weights
    p = [np.array([softmax(z) for z in own.numpy()]) for own in logits]
    hard = [np.mean([-math.log(own[i, labels[i]]) for i in range(n)]) for own in p]
    soft = np.mean([np.mean([-(t[i] * np.log(p[0][i])).sum() for i in range(n)]) for t in p[1:]])
    student = terms(method, outputs_of(logits), labels, k=0)
    assert list(student) == ["ce", "distillation"]
    assert student["ce"].item() == pytest.approx(beta * hard[0], rel=1e-9)
    assert student["distillation"].item() == pytest.approx(gamma * soft, rel=1e-9)
    for k in range(1, networks):
        assert terms(method, outputs_of(logits), labels, k=k)["ce"].item() == pytest.approx(alpha * hard[k], rel=1e-9)


def test_by_hand() -> None:
    # p = (3/4, 1/4), the teacher says (1/2, 1/2), the label is 1.
    student, teacher = torch.tensor([[math.log(3.0), 0.0]]), torch.zeros(1, 2)
    found = terms(PUBLISHED, outputs_of([student, teacher]), torch.tensor([1]))
    assert found["ce"].item() == pytest.approx(0.5 * math.log(4))
    assert found["distillation"].item() == pytest.approx(0.5 * (0.5 * math.log(4 / 3) + 0.5 * math.log(4)))
    assert terms(PUBLISHED, outputs_of([student, teacher]), torch.tensor([1]), k=1)["ce"].item() == pytest.approx(
        math.log(2)
    )


@given(**CASES)
@settings(max_examples=30, deadline=None)
def test_with_a_fixed_teacher_its_gradient_is_that_of_kd(seed, n, classes) -> None:
    (student, teacher), labels = drawn(seed, n, classes)
    gradients = []
    for fixed in (True, False):
        own = student.clone().requires_grad_()
        if fixed:
            kd = KD(temperature=1.0, soften="both", alpha=0.5, hard=0.5)
            found = terms(kd, outputs_of([own]), labels, outputs_of([teacher]))
        else:
            found = terms(PUBLISHED, outputs_of([own, teacher]), labels)
        torch.stack([*found.values()]).sum().backward()
        gradients.append(own.grad)
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-12)


def test_the_third_term_reaches_the_teacher_where_it_is_not_detached() -> None:
    (student, teacher), labels = drawn(1, 3, 4)
    teacher.requires_grad_()
    terms(PUBLISHED, outputs_of([student, teacher]), labels)["distillation"].backward()
    assert teacher.grad.any()
