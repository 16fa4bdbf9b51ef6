"""What of a teacher, or of word similarities, a student's predictions show, beside how good its probabilities are.

Fidelity is how far a student agrees with its teacher, which accuracy does not tell (Stanton et al., 2021); the quality
of the probabilities is what a teacher's help rests on (Menon et al., 2020).
"""

import numpy as np
from numpy.typing import NDArray

from bench.record import FidelityEntry

Matrix = NDArray[np.float64]
BINS = 15


def fidelity(
    student: NDArray[np.floating],
    labels: NDArray[np.int64],
    teacher: NDArray[np.floating] | None = None,
    similarity: Matrix | None = None,
) -> FidelityEntry:
    """Compare a student's test logits (N, C) with the labels (N,), and with its teacher's logits (N, C).

    ``similarity`` (C, C) is of the classes, each with the others in its row; only the order of each row's entries off
    the diagonal counts.
    """
    if not np.isfinite(student).all():
        # Logits that overflowed, as they are kept: there is nothing to be said of their probabilities.
        return dict.fromkeys(FidelityEntry.__annotations__)  # type: ignore[return-value]
    log_p = _log_softmax(student)
    log_t = None if teacher is None or not np.isfinite(teacher).all() else _log_softmax(teacher)
    same = None if log_t is None else float(100 * (log_t.argmax(1) == log_p.argmax(1)).mean())
    divergence = None if log_t is None else float((np.exp(log_t) * (log_t - log_p)).sum(1).mean())
    return {
        "nll": round(float(-log_p[np.arange(len(labels)), labels].mean()), 6),
        "calibration_error": round(calibration_error(np.exp(log_p), labels), 4),
        "agreement": None if same is None else round(same, 4),
        "divergence": None if divergence is None else round(divergence, 6),
        "word_agreement": None if similarity is None else word_agreement(np.exp(log_p), labels, similarity),
    }


def calibration_error(p: Matrix, labels: NDArray[np.int64]) -> float:
    """The expected calibration error in % of probabilities (N, C), over 15 bins of equal width (Guo et al., 2017)."""
    confidence, right = p.max(1), p.argmax(1) == labels
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    gaps = np.bincount(bins, right - confidence, BINS)
    return float(100 * np.abs(gaps).sum() / len(labels))


def word_agreement(p: Matrix, labels: NDArray[np.int64], similarity: Matrix) -> float | None:
    """Spearman's rank correlation between what images of a class are taken for and what is similar to it.

    Of the mean probabilities (N, C) that images of each class give the other classes, with that row of the similarity
    (C, C); the mean over the classes. None where a row has no order.
    """
    correlations = []
    for c in np.unique(labels):
        others = np.arange(len(similarity)) != c
        taken_for, similar = _ranks(p[labels == c].mean(0)[others]), _ranks(similarity[c][others])
        if taken_for.std() == 0 or similar.std() == 0:
            return None
        correlations.append(np.corrcoef(taken_for, similar)[0, 1])
    return round(float(np.mean(correlations)), 4)


def _ranks(values: Matrix) -> Matrix:
    """Ranks from 1; equal values share theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Matrix = (counts.cumsum() - (counts - 1) / 2)[inverse]
    return ranks


def _log_softmax(logits: NDArray[np.floating]) -> Matrix:
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(1, keepdims=True)
    log_p: Matrix = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return log_p
