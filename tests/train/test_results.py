import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.train.results import ensembles

LABELS = np.array([0, 1])


def test_by_hand() -> None:
    # One network is sure and right where two are unsure and wrong: the mean of softmax outputs follows the sure one.
    sure, unsure = np.array([[9.0, 0.0], [0.0, 9.0]]), np.array([[0.0, 0.4], [0.4, 0.0]])
    found = ensembles({1: sure, 2: unsure, 3: unsure}, LABELS, 3)
    assert found.results[0].last_error == 0.0
    assert found.curve == [{"members": [1, 2, 3], "test_error": 0.0}]
    pairs = ensembles({1: sure, 2: unsure, 3: unsure}, LABELS, 2)
    assert [line["test_error"] for line in pairs.curve] == [0.0, 0.0, 100.0]
    assert pairs.results[0].last_error == pytest.approx(100 / 3, abs=1e-4)


def test_the_mean_is_of_softmax_outputs_not_of_logits() -> None:
    # A huge logit counts no more than a large one: by logits the first network would win both images.
    loud, others = np.array([[60.0, 0.0]] * 2), np.array([[0.0, 6.0]] * 2)
    assert ensembles({1: loud, 2: others, 3: others}, np.array([1, 1]), 3).results[0].last_error == 0.0


@given(st.integers(0, 500), st.integers(1, 4))
def test_all_subsets_and_a_network_alone(seed: int, size: int) -> None:
    draws = np.random.default_rng(seed)
    logits = {s: draws.standard_normal((20, 5)).astype(np.float16) for s in (1, 2, 3, 4)}
    labels = draws.integers(0, 5, 20)
    found = ensembles(logits, labels, size)
    assert len(found.curve) == len({tuple(line["members"]) for line in found.curve}) == [4, 6, 4, 1][size - 1]
    if size == 1:
        alone = [round(100 * float((own.argmax(1) != labels).mean()), 4) for own in logits.values()]
        assert [line["test_error"] for line in found.curve] == alone
