import math

import numpy as np
import pytest
import torch
from torch import nn

from bench.methods.base import Batch, Outputs, Setup
from bench.methods.crd import CRD
from bench.methods.kd import KD
from bench.networks.modules.base import Output
from tests.methods.contract import Fixed, output_of, parts_of, pools

LABELS = np.array([0, 1, 2, 0, 1, 2, 1])


def contrast(labels: np.ndarray = LABELS, **params: float) -> tuple[CRD, nn.Module, Batch, Output, Output]:
    """CRD of all training images in one batch."""
    method, n = CRD(**({"weight": 0.7} | params)), len(labels)
    student, teacher = output_of(1, ((2, 2),), n), output_of(2, ((2, 2),), n, pool=4)
    parts = parts_of(method, student, teacher, labels)
    setup = Setup(5, (), labels, (3, 8, 8), [Fixed(student)], [Fixed(teacher)], np.random.default_rng(0))
    draws = {name: torch.from_numpy(a) for name, a in method.draws(setup, np.random.default_rng(2)).items()}
    batch = Batch(torch.zeros(n, 3, 8, 8), torch.from_numpy(labels), torch.arange(n), torch.tensor(0.0), draws)
    return method, parts, batch, student, teacher


def loss(method: CRD, parts: nn.Module, batch: Batch, student: Output, teacher: Output) -> dict[str, torch.Tensor]:
    return method.loss(0, batch, Outputs([student], [teacher], parts, [], lambda network, x: network(x)))


@pytest.mark.parametrize("negatives", [1, 3, 4])
def test_no_negative_comes_twice_where_there_are_enough_of_other_classes(negatives: int) -> None:
    method, parts, batch, *_ = contrast(negatives=negatives)
    drawn = method._drawn(parts, batch).numpy()
    assert set(drawn.flat) <= {0, 1}
    assert (drawn.sum(axis=1) == negatives).all()
    assert not drawn[LABELS[:, None] == LABELS[None]].any()


def test_more_negatives_than_images_come_again() -> None:
    method, parts, batch, *_ = contrast(negatives=30)
    drawn = method._drawn(parts, batch).numpy()
    assert (drawn.sum(axis=1) == 30).all()
    assert not drawn[LABELS[:, None] == LABELS[None]].any()


def test_each_image_of_another_class_is_as_likely_a_negative() -> None:
    method, parts, batch, student, teacher = contrast(negatives=2)
    setup = Setup(5, (), LABELS, (3, 8, 8), [Fixed(student)], [Fixed(teacher)], np.random.default_rng(0))
    generator, epochs = np.random.default_rng(3), 4000
    total = np.zeros((len(LABELS), len(LABELS)))
    for _ in range(epochs):
        draws = {name: torch.from_numpy(a) for name, a in method.draws(setup, generator).items()}
        total += method._drawn(parts, batch._replace(draws=draws)).numpy()
    for i, label in enumerate(LABELS):
        others = label != LABELS
        np.testing.assert_allclose(total[i, others] / epochs, 2 / others.sum(), atol=0.04)


def test_eq_10_to_19_by_their_sums() -> None:
    case = contrast(negatives=3, dim=3, temperature=0.5)
    method, parts, batch, student, teacher = case
    n, drawn = len(LABELS), method._drawn(parts, batch).numpy()
    embedded = []
    for linear, pool in zip(parts.embed, pools(student, teacher), strict=True):
        weight, bias = (p.detach().numpy() for p in linear.parameters())
        e = pool @ weight.T + bias
        embedded.append(e / np.linalg.norm(e, axis=1, keepdims=True))
    memories = [parts.student_memory.numpy().copy(), parts.teacher_memory.numpy().copy()]
    expected, noise = 0.0, 3 / n
    for e, memory in ((embedded[1], memories[0]), (embedded[0], memories[1])):
        index = [[i, *np.flatnonzero(row)] for i, row in enumerate(drawn)]
        scores = np.array([[math.exp(memory[j] @ e[i] / 0.5) for j in index[i]] for i in range(n)])
        for row in scores / (scores.mean() * n):
            expected -= math.log(row[0] / (row[0] + noise + 1e-7)) / n
            expected -= sum(math.log(noise / (g + noise + 1e-7)) for g in row[1:]) / n
    found = loss(*case)
    assert list(found) == ["ce", "crd"]
    assert found["crd"].item() == pytest.approx(0.7 * expected, rel=1e-9)
    for memory, before, e in zip((parts.student_memory, parts.teacher_memory), memories, embedded, strict=True):
        mixed = 0.5 * before + 0.5 * e
        np.testing.assert_allclose(memory.numpy(), mixed / np.linalg.norm(mixed, axis=1, keepdims=True), rtol=1e-9)


def test_the_first_batch_sets_the_constants() -> None:
    case = contrast(negatives=3, dim=3)
    loss(*case)
    constants = [case[1].student_z.item(), case[1].teacher_z.item()]
    assert min(constants) > 0
    loss(*case)
    assert constants == [case[1].student_z.item(), case[1].teacher_z.item()]


def test_by_hand() -> None:
    # Two images of two classes, embedded as they are: each is at its own memory and far from the other's, so that its
    # scores are exp(1) and exp(-1) and Z is twice their mean.
    case = contrast(np.array([0, 1]), negatives=1, dim=1, temperature=1.0, weight=1.0)
    _, parts, _, student, teacher = case
    parts.embed = nn.ModuleList([nn.Identity(), nn.Identity()])
    for output in (student, teacher):
        output.features["pool"] = torch.tensor([[2.0], [-2.0]]).double()
    for memory in (parts.student_memory, parts.teacher_memory):
        memory.copy_(torch.tensor([[1.0], [-1.0]]))
    z = math.exp(1) + math.exp(-1)
    near, far = math.exp(1) / z, math.exp(-1) / z
    expected = -2 * (math.log(near / (near + 0.5)) + math.log(0.5 / (far + 0.5)))
    assert loss(*case)["crd"].item() == pytest.approx(expected, rel=1e-5)


def test_with_kd() -> None:
    case = contrast(negatives=3, kd=0.4, kd_temperature=2.0)
    found = loss(*case)
    expected = loss(KD(2.0, "both", 0.4), *case[1:])
    assert list(found) == ["ce", "crd", "kd"]
    assert found["kd"].item() == expected["kd"].item()
    assert "kd" not in CRD(weight=0.8).identity["params"]


def test_both_embeddings_learn_and_the_memory_takes_no_gradient() -> None:
    case = contrast(negatives=3)
    loss(*case)["crd"].backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in case[1].parameters())
    assert not case[1].student_memory.requires_grad
