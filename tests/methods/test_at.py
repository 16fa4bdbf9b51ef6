import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.methods.at import AT
from bench.networks.modules.base import Output
from tests.methods.contract import of_one_size, pair_of, stage_pairs, terms


def attention(feature: np.ndarray) -> np.ndarray:
    """One image's map (C, h, w), as a list of length 1."""
    places = np.ndindex(*feature.shape[1:])
    positions = [sum(channel[place] ** 2 for channel in feature) / len(feature) for place in places]
    return np.array(positions) / np.sqrt(np.square(positions).sum())


@given(seed=st.integers(0, 2**32), n=st.integers(1, 4))
@settings(max_examples=10, deadline=None)
def test_eq_2_with_means(seed: int, n: int) -> None:
    student, teacher = pair_of(seed, n)
    expected = 0.0
    for pair in stage_pairs(student, teacher):
        own, other = of_one_size(*pair)
        expected += np.mean([(attention(a) - attention(b)) ** 2 for a, b in zip(own, other, strict=True)])
    found = terms(AT(weight=7.0), [student], torch.zeros(n, dtype=torch.int64), [teacher])
    assert list(found) == ["ce", "at"]
    assert found["at"].item() == pytest.approx(7 * expected, rel=1e-9)


def test_by_hand() -> None:
    # Squares 9 and 16 give the map (9, 16) / √337, against (1, 0): ((9/√337 − 1)² + 256/337) / 2 = 1 − 9/√337.
    logits = torch.zeros(1, 2).double()
    features = [torch.tensor(f).double().reshape(1, 1, 1, 2) for f in ([3.0, -4.0], [-2.0, 0.0])]
    own, other = (Output(logits, {"stage1": feature}) for feature in features)
    found = terms(AT(weight=1.0), [own], torch.tensor([0]), [other])
    assert found["at"].item() == pytest.approx(1 - 9 / 337**0.5)
