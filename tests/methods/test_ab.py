import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bench.errors import RecipeError
from bench.methods.ab import AB
from bench.networks.modules.base import Output
from bench.networks.resnet import ResNet, ResNet50
from tests.methods.contract import pair_of, parts_of, stage_pairs, terms


def crossed(own: np.ndarray, other: np.ndarray, margin: float) -> float:
    """Eq. 5, entry by entry."""
    total = 0.0
    for s, t in zip(own.flat, other.flat, strict=True):
        if t <= 0 and s > -margin:
            total += (s + margin) ** 2
        elif t > 0 and s <= margin:
            total += (s - margin) ** 2
    return total


@given(seed=st.integers(0, 2**32), n=st.integers(1, 4), margin=st.floats(0.5, 2))
@settings(max_examples=10, deadline=None)
def test_stages_of_equal_shape_by_their_sums(seed: int, n: int, margin: float) -> None:
    shapes = ((2, 8), (3, 4), (4, 2))
    student, teacher = pair_of(seed, n, student=shapes, teacher=shapes)
    method = AB(weight=0.003, margin=margin)
    parts = parts_of(method, student, teacher)
    assert all(isinstance(connector, nn.Identity) for connector in parts.connectors)
    pairs = stage_pairs(student, teacher, ".before")
    expected = sum(crossed(*pair, margin) * w for pair, w in zip(pairs, (1 / 4, 1 / 2, 1), strict=True))
    found = terms(method, [student], torch.zeros(n, dtype=torch.int64), [teacher], parts=parts)
    assert list(found) == ["ab"]
    assert found["ab"].item() == pytest.approx(0.003 * expected / n, rel=1e-9)


def test_by_hand() -> None:
    # Off in the teacher: 0.5 is 1.5 too far, −2 is well. On in the teacher: 0.5 lacks 0.5, 2 is well.
    own, other = (
        Output(torch.zeros(1, 2), {"stage1": torch.zeros(1), "stage1.before": torch.tensor(f).reshape(1, 4, 1, 1)})
        for f in ([0.5, -2.0, 0.5, 2.0], [-1.0, 0.0, 1.0, 0.1])
    )
    parts = nn.Module()
    parts.connectors = [nn.Identity()]
    assert terms(AB(weight=1.0), [own], torch.tensor([0]), [other], parts=parts)["ab"].item() == 1.5**2 + 0.5**2


def test_connectors_where_shapes_differ_and_everything_learns() -> None:
    student, teacher = pair_of(1, student=((2, 8), (3, 4), (4, 2)), teacher=((3, 4), (2, 8), (5, 2)))
    parts = parts_of(AB(weight=1.0), student, teacher)
    for i in (1, 2, 3):
        student.features[f"stage{i}.before"].requires_grad_()
    terms(AB(weight=1.0), [student], torch.zeros(3, dtype=torch.int64), [teacher], parts=parts)["ab"].backward()
    assert all(student.features[f"stage{i}.before"].grad.any() for i in (1, 2, 3))
    assert all(parameter.grad is not None for parameter in parts.parameters())


def test_networks_with_other_numbers_of_stages_are_refused() -> None:
    with pytest.raises(RecipeError, match="the student has 3 stages and the teacher 4"):
        AB(weight=1.0).compare(ResNet(8, "basic", "B", 1.0).features(32), ResNet50().features(32))
