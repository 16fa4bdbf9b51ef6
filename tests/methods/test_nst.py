import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.methods.nst import NST
from bench.networks.modules.base import Output
from tests.methods.contract import of_one_size, pair_of, stage_pairs, terms


def kernel(one: np.ndarray, other: np.ndarray) -> float:
    """The mean over the channels of two images (C, h, w) and (D, h, w)."""
    unit = [[channel / max(np.sqrt((channel**2).sum()), 1e-12) for channel in image] for image in (one, other)]
    return float(np.mean([[(a * b).sum() ** 2 for b in unit[1]] for a in unit[0]]))


@given(seed=st.integers(0, 2**32), n=st.integers(1, 3))
@settings(max_examples=10, deadline=None)
def test_the_squared_discrepancy_by_its_sums(seed: int, n: int) -> None:
    student, teacher = pair_of(seed, n)
    expected = 0.0
    for pair in stage_pairs(student, teacher):
        for own, other in zip(*of_one_size(*pair), strict=True):
            expected += (kernel(other, other) + kernel(own, own) - 2 * kernel(own, other)) / n
    found = terms(NST(weight=50.0), [student], torch.zeros(n, dtype=torch.int64), [teacher])
    assert list(found) == ["ce", "nst"]
    assert found["nst"].item() == pytest.approx(50 * expected, rel=1e-8, abs=1e-10)


def test_by_hand() -> None:
    # One channel each, at 45 degrees: 1 + 1 − 2 · ½.
    own, other = (
        Output(torch.zeros(1, 2), {"stage1": torch.tensor(f).reshape(1, 1, 1, 2)}) for f in ([3.0, 3.0], [5.0, 0.0])
    )
    assert terms(NST(weight=1.0), [own], torch.tensor([0]), [other])["nst"].item() == pytest.approx(1)
