import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.methods.data_impressions import DataImpressions, class_similarity, dirichlet
from bench.rng import generator


def test_similarity_by_hand() -> None:
    # Cosines: 1 and 2 are 45 degrees apart, 1 and 3 are opposite, 2 and 3 are 135 degrees apart.
    half = np.sqrt(0.5)
    found = class_similarity(np.array([[2.0, 0.0], [3.0, 3.0], [-1.0, 0.0]]))
    rows = [[1, half, -1], [half, 1, -half], [-1, -half, 1]]
    by_hand = [[(x - min(row)) / (1 - min(row)) for x in row] for row in rows]
    np.testing.assert_allclose(found, by_hand, atol=1e-15)
    # Row by row, not column by column: the matrix of cosines is symmetric, the scaled one is not.
    assert abs(found[0, 1] - found[1, 0]) > 0.02


@given(st.integers(0, 1000), st.integers(2, 12), st.integers(2, 8))
def test_every_row_of_similarity_goes_from_0_to_1_with_the_class_itself_on_top(seed: int, n: int, width: int) -> None:
    found = class_similarity(np.random.default_rng(seed).standard_normal((n, width)))
    assert found.min() >= 0
    np.testing.assert_allclose(found.max(1), 1.0)
    np.testing.assert_allclose(np.diag(found), 1.0)
    np.testing.assert_allclose(found.min(1), 0.0, atol=1e-12)


@given(st.integers(0, 1000), st.floats(0.05, 2.0))
def test_a_sample_sums_to_one_and_gives_nothing_to_a_class_of_concentration_zero(seed: int, scaling: float) -> None:
    concentration = class_similarity(np.random.default_rng(seed).standard_normal((6, 4))) * scaling
    sample = dirichlet(concentration, generator(seed, "targets"))
    np.testing.assert_allclose(sample.sum(1), 1.0)
    assert (sample >= 0).all()
    assert (sample[concentration == 0] == 0).all()


def test_samples_have_the_moments_of_a_dirichlet_distribution() -> None:
    alpha = np.array([1.0, 0.5, 0.25, 0.0])
    for scaling in (1.0, 0.1):
        sample = dirichlet(np.tile(alpha * scaling, (20_000, 1)), generator(1, "targets"))
        share = alpha / alpha.sum()
        np.testing.assert_allclose(sample.mean(0), share, atol=0.02)
        # Var = share (1 - share) / (sum + 1): a small scaling makes a sample more one-sided.
        np.testing.assert_allclose(sample.var(0), share * (1 - share) / (scaling * alpha.sum() + 1), atol=0.01)


def test_classes_and_scalings_get_their_shares() -> None:
    method = DataImpressions(count=40, scalings=(1.0, 0.001), temperature=20.0)
    assert np.bincount(method.classes(10)).tolist() == [4] * 10
    targets = method.targets(np.random.default_rng(0).standard_normal((10, 8)), generator(1, "targets"))
    # With a concentration near 0 a sample is one class and nothing else; every other ten have it.
    one_sided = targets.max(1) > 0.999
    assert one_sided[10:20].all()
    assert one_sided[30:].all()
    assert not one_sided[:10].all()


def test_loss_is_the_cross_entropy_of_the_softened_answer() -> None:
    draws = np.random.default_rng(0)
    target, logits = draws.dirichlet(np.ones(5), 3), draws.standard_normal((3, 5)) * 30
    found = DataImpressions(3, (1.0,), 20.0).loss(torch.from_numpy(target), torch.from_numpy(logits))
    soft = np.exp(logits / 20) / np.exp(logits / 20).sum(1, keepdims=True)
    np.testing.assert_allclose(found.numpy(), -(target * np.log(soft)).sum(1), rtol=1e-12)
    assert found.numpy()[0] == pytest.approx(-sum(target[0, c] * np.log(soft[0, c]) for c in range(5)))
