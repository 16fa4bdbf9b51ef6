import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bench.methods.vid import VID
from bench.networks.modules.base import Output
from tests.methods.contract import of_one_size, pair_of, parts_of, stage_pairs, terms


@given(seed=st.integers(0, 2**32), n=st.integers(1, 3))
@settings(max_examples=10, deadline=None)
def test_the_gaussians_surprise_by_its_sums(seed: int, n: int) -> None:
    student, teacher = pair_of(seed, n)
    method = VID(weight=2.0, variance=3.0, eps=1e-4)
    parts, draws = parts_of(method, student, teacher), np.random.default_rng(seed)
    expected = 0.0
    for gaussian, pair in zip(parts.gaussians, stage_pairs(student, teacher), strict=True):
        own, other = of_one_size(*pair)
        raw = draws.normal(size=other.shape[1])
        gaussian.variance.raw.data.copy_(torch.from_numpy(raw))
        first, second, third = (p.detach().numpy()[:, :, 0, 0] for p in gaussian.mean.parameters())
        surprises = []
        for i, y, x in np.ndindex(n, *own.shape[2:]):
            mean = third @ np.maximum(second @ np.maximum(first @ own[i, :, y, x], 0), 0)
            for d in range(other.shape[1]):
                variance = math.log(1 + math.exp(raw[d])) + 1e-4
                surprises.append(0.5 * (math.log(variance) + (other[i, d, y, x] - mean[d]) ** 2 / variance))
        expected += np.mean(surprises)
    found = terms(method, [student], torch.zeros(n, dtype=torch.int64), [teacher], parts=parts)
    assert list(found) == ["ce", "vid"]
    assert found["vid"].item() == pytest.approx(2 * expected, rel=1e-9)


def test_variances_begin_as_given() -> None:
    parts = parts_of(VID(weight=1.0, variance=3.0, eps=0.5), *pair_of(1))
    for gaussian in parts.gaussians:
        torch.testing.assert_close(gaussian.variance(), torch.full_like(gaussian.variance.raw, 3.0))


def test_by_hand() -> None:
    # A mean of 1 that is off by 2, at a variance of 4: ½ (log 4 + 1).
    gaussian, parts = nn.Module(), nn.Module()
    gaussian.mean, gaussian.variance, parts.gaussians = nn.Identity(), lambda: torch.tensor([4.0]), [gaussian]
    own, other = (Output(torch.zeros(1, 2), {"stage1": torch.full((1, 1, 1, 1), v)}) for v in (1.0, 3.0))
    found = terms(VID(weight=1.0), [own], torch.tensor([0]), [other], parts=parts)
    assert found["vid"].item() == pytest.approx(0.5 * (math.log(4) + 1))
