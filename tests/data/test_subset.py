import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data.subset import subset
from bench.errors import DataError

LABELS = np.repeat(np.arange(10), 50)


@given(st.floats(0.01, 1.0), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_a_fraction_is_balanced_sorted_and_without_repeats(fraction, seed):
    chosen = subset(LABELS, fraction, None, seed)
    counts = np.bincount(LABELS[chosen], minlength=10)
    assert len(chosen) == round(fraction * 500)
    assert counts.max() - counts.min() <= 1
    assert (np.diff(chosen) > 0).all()


def test_subsets_are_seeded_and_nested():
    small, large = subset(LABELS, None, 3, 1), subset(LABELS, None, 9, 1)
    assert set(small) < set(large)
    np.testing.assert_array_equal(small, subset(LABELS, None, 3, 1))
    assert set(small) != set(subset(LABELS, None, 3, 2))
    np.testing.assert_array_equal(subset(LABELS, None, None, 1), np.arange(500))


def test_a_scarce_class_leaves_its_share_to_the_others():
    labels = np.array([0] * 2 + [1] * 50 + [2] * 50)
    assert list(np.bincount(labels[subset(labels, 0.5, None, 0)])) in ([2, 24, 25], [2, 25, 24])
    with pytest.raises(DataError, match="3 images a class were asked for, but class 0 has 2"):
        subset(labels, None, 3, 0)


def test_a_fraction_of_no_image_is_an_error():
    with pytest.raises(DataError, match="is no image"):
        subset(LABELS, 0.0001, None, 0)
