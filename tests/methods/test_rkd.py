import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.methods.rkd import RKD
from bench.networks.modules.base import Output
from tests.methods.contract import pair_of, pools, terms


def huber(one: np.ndarray, other: np.ndarray) -> float:
    off = np.abs(one - other)
    return float(np.where(off < 1, off**2 / 2, off - 0.5).mean())


def relations(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    n = len(features)
    distances, cosines = np.zeros((n, n)), np.zeros((n, n, n))
    for i, j in np.ndindex(n, n):
        distances[i, j] = np.linalg.norm(features[i] - features[j])
    for i, j, k in np.ndindex(n, n, n):
        if i not in (j, k):
            to = [features[m] - features[i] for m in (j, k)]
            cosines[i, j, k] = to[0] @ to[1] / np.linalg.norm(to[0]) / np.linalg.norm(to[1])
    return distances / (distances.sum() / (n * n - n)), cosines


@given(seed=st.integers(0, 2**32), n=st.integers(2, 5))
@settings(max_examples=10, deadline=None)
def test_eq_5_to_10(seed: int, n: int) -> None:
    student, teacher = pair_of(seed, n)
    own, other = (relations(pool) for pool in pools(student, teacher))
    found = terms(RKD(distance=2.0, angle=3.0), [student], torch.zeros(n, dtype=torch.int64), [teacher])
    assert list(found) == ["ce", "distance", "angle"]
    assert found["distance"].item() == pytest.approx(2 * huber(own[0], other[0]), rel=1e-6)
    assert found["angle"].item() == pytest.approx(3 * huber(own[1], other[1]), rel=1e-6, abs=1e-12)


def test_by_hand() -> None:
    # In a line 0, 1, 3 the distances 1, 2, 3 are divided by 2; equal ones (a triangle) are all 1.
    line = torch.tensor([[0.0, 0.0], [1.0, 0.0], [3.0, 0.0]]).double()
    triangle = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, 0.75**0.5]]).double()
    own, other = (Output(torch.zeros(3, 2).double(), {"pool": f}) for f in (line, triangle))
    found = terms(RKD(distance=1.0, angle=1.0), [own], torch.tensor([0, 0, 0]), [other])
    # Two of the three pairs are off by a half, each twice among nine.
    assert found["distance"].item() == pytest.approx(4 * 0.5**2 / 2 / 9)
    # Cosines of 1, -1, 1 (each twice) against 1/2 in all: Huber of 1/2, 3/2 and 1/2.
    assert found["angle"].item() == pytest.approx(2 * (1 / 8 + 1 + 1 / 8) / 27)


def test_equal_images_have_a_gradient_without_nan() -> None:
    own = Output(torch.zeros(3, 2), {"pool": torch.ones(3, 2).requires_grad_()})
    other = Output(torch.zeros(3, 2), {"pool": torch.randn(3, 2)})
    found = terms(RKD(distance=1.0, angle=1.0), [own], torch.tensor([0, 0, 0]), [other])
    (found["distance"] + found["angle"]).backward()
    assert own.features["pool"].grad.isfinite().all()
