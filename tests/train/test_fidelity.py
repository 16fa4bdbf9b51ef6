"""Fidelity, calibration and the agreement with words, against plain arithmetic and by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax
from scipy.stats import entropy, spearmanr

from bench.train.fidelity import calibration_error, fidelity, word_agreement


def drawn(seed: int, n: int = 60, classes: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Logits of a student and a teacher (N, C), labels (N,) of every class, a similarity (C, C)."""
    draws = np.random.default_rng(seed)
    student, teacher = draws.normal(0, 3, (2, n, classes)).astype(np.float16)
    return student, teacher, np.arange(n) % classes, draws.random((classes, classes))


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_equals_scipy(seed: int) -> None:
    student, teacher, labels, similarity = drawn(seed)
    made = fidelity(student, labels, teacher, similarity)
    p, t = softmax(student.astype(np.float64), 1), softmax(teacher.astype(np.float64), 1)
    assert made["nll"] == pytest.approx(-log_softmax(student.astype(np.float64), 1)[range(60), labels].mean(), abs=1e-6)
    assert made["divergence"] == pytest.approx(np.mean([entropy(a, b) for a, b in zip(t, p, strict=True)]), abs=1e-6)
    assert made["agreement"] == pytest.approx(100 * np.mean(p.argmax(1) == t.argmax(1)), abs=1e-4)
    rho = [spearmanr(np.delete(p[labels == c].mean(0), c), np.delete(similarity[c], c)).statistic for c in range(5)]
    assert made["word_agreement"] == pytest.approx(np.mean(rho), abs=1e-4)


def test_by_hand() -> None:
    student = np.log(np.array([[0.8, 0.2], [0.6, 0.4]]))
    teacher = np.log(np.array([[0.5, 0.5], [0.4, 0.6]]))
    made = fidelity(student, np.array([0, 1]), teacher)
    assert made["nll"] == pytest.approx(-(np.log(0.8) + np.log(0.4)) / 2, abs=1e-6)
    # Confidences 0.8 (right) and 0.6 (wrong), each alone in its bin.
    assert made["calibration_error"] == pytest.approx(100 * (0.2 + 0.6) / 2, abs=1e-4)
    assert made["agreement"] == 50.0
    assert made["divergence"] == pytest.approx(
        (0.5 * np.log(0.5 / 0.8) + 0.5 * np.log(0.5 / 0.2) + 0.4 * np.log(0.4 / 0.6) + 0.6 * np.log(0.6 / 0.4)) / 2,
        abs=1e-6,
    )
    assert made["word_agreement"] is None


def test_a_student_that_is_its_teacher_agrees_in_everything() -> None:
    student, _, labels, _ = drawn(1)
    made = fidelity(student, labels, student)
    assert (made["agreement"], made["divergence"]) == (100.0, 0.0)


def test_without_a_teacher_there_is_nothing_to_agree_with() -> None:
    student, _, labels, _ = drawn(1)
    made = fidelity(student, labels)
    assert (made["agreement"], made["divergence"]) == (None, None)


@given(p=st.floats(0.51, 1.0), n=st.integers(1, 50))
@settings(max_examples=50, deadline=None)
def test_certainty_that_is_right_as_often_as_it_says_is_calibrated(p: float, n: int) -> None:
    right = round(p * n)
    labels = np.array([0] * right + [1] * (n - right))
    assert calibration_error(np.tile([p, 1 - p], (n, 1)), labels) == pytest.approx(100 * abs(right / n - p), abs=1e-9)


def test_confidence_of_one_is_in_the_last_bin() -> None:
    assert calibration_error(np.array([[1.0, 0.0], [0.95, 0.05]]), np.array([0, 0])) == pytest.approx(2.5)


def test_what_is_taken_for_its_most_similar_class_agrees_with_the_words() -> None:
    similarity = np.array([[1, 0.6, 0.1], [0.6, 1, 0.2], [0.1, 0.2, 1]])
    p = np.array([[0.5, 0.4, 0.1], [0.3, 0.5, 0.2], [0.1, 0.2, 0.7]])
    labels = np.arange(3)
    assert word_agreement(p, labels, similarity) == 1.0
    assert word_agreement(p, labels, -similarity) == -1.0
    assert word_agreement(p, labels, np.ones((3, 3))) is None


def test_logits_that_are_large_overflow_nothing() -> None:
    made = fidelity(np.array([[6e4, -6e4]], dtype=np.float16), np.array([1]), np.array([[-6e4, 6e4]], dtype=np.float16))
    assert np.isfinite([made["nll"], made["divergence"]]).all()


def test_logits_that_are_no_numbers_say_nothing() -> None:
    student, teacher, labels, similarity = drawn(1)
    overflowed = np.where(student > 3, np.float16(np.inf), student)
    assert set(fidelity(overflowed, labels, teacher, similarity).values()) == {None}
    made = fidelity(student, labels, overflowed)
    assert (made["agreement"], made["divergence"]) == (None, None)
    assert made["nll"] is not None
