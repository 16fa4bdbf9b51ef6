import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from bench.methods.base import Batch, Outputs, Setup
from bench.methods.born_again import CWTM, DKPP, permute
from bench.methods.kd import SoftTargets
from tests.methods.contract import drawn, outputs_of, softmax, terms

SIZES = {"seed": st.integers(0, 2**32), "n": st.integers(1, 6), "classes": st.integers(2, 7)}


def dkpp(student: Tensor, teacher: Tensor, order: Tensor) -> float:
    """DKPP of a batch whose images stand in the training set in the opposite order."""
    n = len(student)
    labels, indices = torch.zeros(n, dtype=torch.int64), torch.arange(n).flip(0)
    batch = Batch(torch.zeros(n, 1, 2, 2), labels, indices, torch.tensor(0.0), {"order": order})
    outputs = Outputs(outputs_of([student]), outputs_of([teacher]), nn.Module(), [], lambda network, x: network(x))
    return DKPP().loss(0, batch, outputs)["ce"].item()


@given(**SIZES)
@settings(max_examples=25, deadline=None)
def test_cwtm_is_the_labels_weighted_by_the_teachers_confidence(seed: int, n: int, classes: int) -> None:
    student, teacher, y = drawn(seed, n, classes)
    sure = [softmax(row).max() for row in teacher]
    ce = sum(-math.log(softmax(student[i])[y[i]]) * sure[i] / sum(sure) for i in range(n))
    found = terms(
        CWTM(), outputs_of([torch.from_numpy(student)]), torch.from_numpy(y), outputs_of([torch.from_numpy(teacher)])
    )
    assert found["ce"].item() == pytest.approx(ce, rel=1e-9)


def test_cwtm_by_hand() -> None:
    # Of one image the teacher says (3/4, 1/4), of the other (1/2, 1/2): weights 3/5 and 2/5. The student says
    # (1/2, 1/2) of the first and (1/4, 3/4) of the second; both labels are 0: 3/5 log 2 + 2/5 log 4.
    teacher = torch.tensor([[math.log(3), 0.0], [0.0, 0.0]])
    student = torch.tensor([[0.0, 0.0], [0.0, math.log(3)]])
    found = terms(CWTM(), outputs_of([student]), torch.tensor([0, 0]), outputs_of([teacher]))
    assert found["ce"].item() == pytest.approx(0.6 * math.log(2) + 0.4 * math.log(4))


@given(**SIZES)
@settings(max_examples=25, deadline=None)
def test_dkpp_is_the_cross_entropy_to_the_permuted_teacher(seed: int, n: int, classes: int) -> None:
    student, teacher, _ = drawn(seed, n, classes)
    order = np.random.default_rng(seed).random((n, classes))
    ce = 0.0
    for i in range(n):
        taught, permutation = softmax(teacher[i]), np.argsort(order[n - 1 - i])
        largest, target = taught.argmax(), taught[permutation]
        at = list(permutation).index(largest)
        target[at], target[largest] = target[largest], target[at]
        ce -= (target * np.log(softmax(student[i]))).sum() / n
    assert dkpp(*map(torch.from_numpy, (student, teacher, order))) == pytest.approx(ce, rel=1e-9)


def test_dkpp_by_hand() -> None:
    # The teacher says (1/2, 3/8, 1/8), which becomes (1/2, 1/8, 3/8): all are turned around, and then the 1/8 that came
    # to the first place and the 1/2 that went to the last change places. The student says (1/2, 1/4, 1/4).
    teacher = torch.tensor([[0.5, 0.375, 0.125]], dtype=torch.float64)
    order = torch.tensor([[2.0, 1.0, 0.0]])
    torch.testing.assert_close(permute(teacher, order), torch.tensor([[0.5, 0.375, 0.125]], dtype=torch.float64))
    turned = torch.tensor([[0.0, 2.0, 1.0]])
    torch.testing.assert_close(permute(teacher, turned), torch.tensor([[0.5, 0.125, 0.375]], dtype=torch.float64))
    student = torch.tensor([[0.5, 0.25, 0.25]], dtype=torch.float64).log()
    assert dkpp(student, teacher.log(), turned) == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(4))


@given(**SIZES)
@settings(max_examples=50, deadline=None)
def test_the_largest_stays_and_nothing_is_lost(seed: int, n: int, classes: int) -> None:
    draws = np.random.default_rng(seed)
    p, order = (torch.from_numpy(draws.random((n, classes))) for _ in range(2))
    permuted = permute(p, order)
    assert torch.equal(permuted.argmax(1), p.argmax(1))
    assert torch.equal(permuted.sort(1).values, p.sort(1).values)


def test_every_permutation_of_the_others_is_as_likely() -> None:
    order = torch.from_numpy(np.random.default_rng(0).random((6000, 4)))
    found = Counter(map(tuple, permute(torch.tensor([[0.3, 0.4, 0.2, 0.1]]).expand(6000, 4), order).tolist()))
    assert len(found) == 6
    # 1,000 of each, with a standard deviation of 29.
    assert all(abs(count - 1000) < 150 for count in found.values())


def test_draws_are_for_each_image_and_of_the_generator() -> None:
    setup = Setup(5, (), np.zeros(7, dtype=np.int64), (3, 8, 8), [], [], np.random.default_rng(0))
    first, again = (DKPP().draws(setup, np.random.default_rng(1))["order"] for _ in range(2))
    assert first.shape == (7, 5)
    assert np.array_equal(first, again)


def test_of_two_classes_nothing_is_permuted() -> None:
    student, teacher, y = (torch.from_numpy(each) for each in drawn(3, 4, 2))
    kl = terms(SoftTargets(1.0), outputs_of([student]), y, outputs_of([teacher]))["kd"].item()
    entropy = -(teacher.softmax(1) * teacher.log_softmax(1)).sum(1).mean().item()
    assert dkpp(student, teacher, torch.rand(4, 2, generator=torch.Generator().manual_seed(0))) == pytest.approx(
        kl + entropy
    )
