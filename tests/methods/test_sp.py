import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.methods.sp import SP
from bench.networks.modules.base import Output
from tests.methods.contract import pair_of, stage_pairs, terms


def similarity(feature: np.ndarray) -> np.ndarray:
    n = len(feature)
    g = np.array([[(feature[i] * feature[j]).sum() for j in range(n)] for i in range(n)])
    return np.array([row / np.sqrt((row**2).sum()) for row in g])


@given(seed=st.integers(0, 2**32), n=st.integers(1, 5))
@settings(max_examples=10, deadline=None)
def test_eq_1_to_4_of_the_last_stage(seed: int, n: int) -> None:
    student, teacher = pair_of(seed, n, student=((2, 8), (3, 4), (4, 4)))
    own, other = stage_pairs(student, teacher)[-1]
    expected = ((similarity(own) - similarity(other)) ** 2).sum() / n**2
    found = terms(SP(weight=3.0), [student], torch.zeros(n, dtype=torch.int64), [teacher])
    assert list(found) == ["ce", "sp"]
    assert found["sp"].item() == pytest.approx(3 * expected, rel=1e-9)


def test_by_hand() -> None:
    # Two images that are alike have rows (1, 1)/√2; two that have nothing in common (1, 0) and (0, 1).
    logits = torch.zeros(2, 2).double()
    alike, apart = (torch.tensor(f).double().reshape(2, 2, 1, 1) for f in ([[1, 0], [1, 0]], [[2, 0], [0, 3]]))
    own, other = Output(logits, {"stage1": alike}), Output(logits, {"stage1": apart})
    half = 0.5**0.5
    expected = (2 * (half - 1) ** 2 + 2 * half**2) / 4
    assert terms(SP(weight=1.0), [own], torch.tensor([0, 1]), [other])["sp"].item() == pytest.approx(expected)
