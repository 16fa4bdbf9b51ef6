import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bench.methods.cc import CC
from bench.networks.modules.base import Output
from tests.methods.contract import pair_of, parts_of, pools, terms


@given(seed=st.integers(0, 2**32), n=st.integers(2, 5))
@settings(max_examples=10, deadline=None)
def test_neighbours_in_the_batch_by_their_sums(seed: int, n: int) -> None:
    student, teacher = pair_of(seed, n)
    method = CC(weight=0.02, dim=3)
    parts = parts_of(method, student, teacher)
    embedded = []
    for linear, pool in zip(parts.embed, pools(student, teacher), strict=True):
        weight, bias = (p.detach().numpy() for p in linear.parameters())
        embedded.append([weight @ own + bias for own in pool])
    delta = [np.abs(own - other) for own, other in zip(*embedded, strict=True)]
    expected = sum((delta[i] * delta[i + 1]).sum() for i in range(n - 1)) / (n - 1)
    found = terms(method, [student], torch.zeros(n, dtype=torch.int64), [teacher], parts=parts)
    assert list(found) == ["ce", "cc"]
    assert found["cc"].item() == pytest.approx(0.02 * expected, rel=1e-9)


def test_by_hand() -> None:
    parts = nn.Module()
    parts.embed = [nn.Identity(), nn.Identity()]
    # The differences are (1, 2) and (3, 0): 1·3 + 2·0.
    own, other = (
        Output(torch.zeros(2, 2).double(), {"pool": torch.tensor(f).double()})
        for f in ([[1, 2], [0, 5]], [[0, 4], [3, 5]])
    )
    assert terms(CC(weight=1.0), [own], torch.tensor([0, 1]), [other], parts=parts)["cc"].item() == 3


def test_both_embeddings_learn() -> None:
    student, teacher = pair_of(1)
    parts = parts_of(CC(weight=1.0), student, teacher)
    terms(CC(weight=1.0), [student], torch.zeros(3, dtype=torch.int64), [teacher], parts=parts)["cc"].backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in parts.parameters())
