import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.methods.pkt import PKT
from bench.networks.modules.base import Output
from tests.methods.contract import pair_of, pools, terms


def probabilities(features: np.ndarray) -> np.ndarray:
    n = len(features)
    unit = [f / (np.sqrt((f**2).sum()) + 1e-7) for f in features]
    near = np.array([[(unit[i] @ unit[j] + 1) / 2 for j in range(n)] for i in range(n)])
    return np.array([row / row.sum() for row in near])


@given(seed=st.integers(0, 2**32), n=st.integers(2, 5))
@settings(max_examples=10, deadline=None)
def test_the_divergence_by_its_sums(seed: int, n: int) -> None:
    student, teacher = pair_of(seed, n)
    own, other = (probabilities(pool) for pool in pools(student, teacher))
    entries = [other[i] * math.log((other[i] + 1e-7) / (own[i] + 1e-7)) for i in np.ndindex(n, n)]
    found = terms(PKT(weight=5.0), [student], torch.zeros(n, dtype=torch.int64), [teacher])
    assert list(found) == ["ce", "pkt"]
    assert found["pkt"].item() == pytest.approx(5 * sum(entries) / n**2, rel=1e-8)


def test_by_hand() -> None:
    # Right angles: rows (2/3, 1/3); the same direction: rows (1/2, 1/2).
    own, other = (
        Output(torch.zeros(2, 2).double(), {"pool": torch.tensor(f).double()})
        for f in ([[1, 0], [1, 0]], [[1, 0], [0, 1]])
    )
    expected = (2 / 3 * math.log(4 / 3) + 1 / 3 * math.log(2 / 3)) / 2
    assert terms(PKT(weight=1.0), [own], torch.tensor([0, 1]), [other])["pkt"].item() == pytest.approx(
        expected, rel=1e-6
    )
