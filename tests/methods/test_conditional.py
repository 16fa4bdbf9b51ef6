import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.methods.conditional import Conditional
from bench.methods.kd import KD
from tests.methods.contract import drawn, outputs_of, softmax, terms

CASES = {
    "seed": st.integers(0, 2**32),
    "n": st.integers(1, 6),
    "classes": st.integers(2, 7),
    "temperature": st.floats(0.5, 10),
}


@given(**CASES)
@settings(max_examples=25, deadline=None)
def test_each_image_has_a_soft_or_a_hard_target(seed: int, n: int, classes: int, temperature: float) -> None:
    student, teacher, y = drawn(seed, n, classes)
    soft = hard = 0.0
    for i in range(n):
        p, target = softmax(student[i] / temperature), softmax(teacher[i] / temperature)
        if np.argmax(teacher[i]) == y[i]:
            soft += temperature**2 * sum(target[c] * math.log(target[c] / p[c]) for c in range(classes)) / n
        else:
            hard += -math.log(softmax(student[i])[y[i]]) / n
    logits, taught, labels = (torch.from_numpy(each) for each in (student, teacher, y))
    found = terms(Conditional(temperature), outputs_of([logits]), labels, outputs_of([taught]))
    assert list(found) == ["soft", "hard"]
    assert found["soft"].item() == pytest.approx(soft, rel=1e-8, abs=1e-11)
    assert found["hard"].item() == pytest.approx(hard, rel=1e-9)


def test_by_hand() -> None:
    # The student says (1/2, 1/2) of both images, the teacher (1/4, 3/4). Of class 1 it is right:
    # KL = 1/4 log 1/2 + 3/4 log 3/2 = 0.130812. Of class 0 it is wrong: CE = log 2. Each is half of the batch.
    student, teacher = torch.zeros(2, 2), torch.tensor([[0.0, math.log(3)]] * 2)
    found = terms(Conditional(), outputs_of([student]), torch.tensor([1, 0]), outputs_of([teacher]))
    assert found["soft"].item() == pytest.approx(0.130812 / 2, abs=1e-6)
    assert found["hard"].item() == pytest.approx(math.log(2) / 2)


def test_a_teacher_that_is_always_right_is_kd_without_labels() -> None:
    logits, labels = (
        torch.randn(5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64),
        torch.arange(5) % 4,
    )
    teacher = 9 * torch.nn.functional.one_hot(labels, 4).double() + logits.flip(0)
    found = terms(Conditional(2.0), outputs_of([logits]), labels, outputs_of([teacher]))
    kd = terms(KD(2.0, "both", hard=0.0), outputs_of([logits]), labels, outputs_of([teacher]))
    assert found["hard"].item() == 0
    torch.testing.assert_close(found["soft"], kd["kd"])
