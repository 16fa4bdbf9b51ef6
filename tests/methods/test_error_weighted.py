import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.methods.error_weighted import ErrorWeighted
from tests.methods.contract import drawn, outputs_of, softmax, terms


@given(
    seed=st.integers(0, 2**32),
    n=st.integers(1, 6),
    classes=st.integers(2, 7),
    temperature=st.floats(0.5, 10),
    alpha=st.floats(0, 3),
)
@settings(max_examples=25, deadline=None)
def test_kd_weighted_by_what_the_teacher_gives_the_label(
    seed: int, n: int, classes: int, temperature: float, alpha: float
) -> None:
    student, teacher, y = drawn(seed, n, classes)
    ce = soft = 0.0
    for i in range(n):
        p, target = softmax(student[i] / temperature), softmax(teacher[i] / temperature)
        kl = sum(target[c] * math.log(target[c] / p[c]) for c in range(classes))
        soft += alpha * temperature**2 * softmax(teacher[i])[y[i]] * kl / n
        ce += -math.log(softmax(student[i])[y[i]]) / n
    logits, taught, labels = (torch.from_numpy(each) for each in (student, teacher, y))
    found = terms(ErrorWeighted(temperature, alpha), outputs_of([logits]), labels, outputs_of([taught]))
    assert list(found) == ["ce", "kd"]
    assert found["ce"].item() == pytest.approx(ce, rel=1e-9)
    assert found["kd"].item() == pytest.approx(soft, rel=1e-8, abs=1e-11)


def test_by_hand() -> None:
    # The teacher says (1/4, 3/4) of two images, the student (1/2, 1/2): KL = 0.130812. One is of class 1, of which the
    # teacher's error is 1/4, the other of class 0, of which it is 3/4: the weights are 3/4 and 1/4, their mean 1/2.
    student, teacher = torch.zeros(2, 2), torch.tensor([[0.0, math.log(3)]] * 2)
    found = terms(ErrorWeighted(1.0), outputs_of([student]), torch.tensor([1, 0]), outputs_of([teacher]))
    assert found["kd"].item() == pytest.approx(0.130812 / 2, abs=1e-6)
    assert found["ce"].item() == pytest.approx(math.log(2))
