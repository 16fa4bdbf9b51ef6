import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import RecipeError
from bench.methods.structured_kd import StructuredKD
from bench.networks.modules.base import Output
from tests.methods.contract import softmax, terms

CLASSES = 3


def segmented(seed: int, n: int, channels: int, side: int, logits_side: int = 4) -> Output:
    """Logits of n images' pixels, one after the other, and one map."""
    draws = np.random.default_rng(seed)
    logits = torch.from_numpy(draws.normal(size=(n * logits_side**2, CLASSES)))
    return Output(logits, {"stage3": torch.from_numpy(draws.normal(size=(n, channels, side, side)))})


def cosines(image: np.ndarray, pool: int) -> np.ndarray:
    """Of one image's map (C, side, side), at all pairs of windows of pool x pixels."""
    channels, side, _ = image.shape
    starts = range(0, side, pool)
    places = [image[:, a : a + pool, b : b + pool].reshape(channels, -1).max(1) for a in starts for b in starts]
    return np.array([[p @ q / np.sqrt((p @ p) * (q @ q)) for q in places] for p in places])


@given(seed=st.integers(0, 2**32), n=st.integers(1, 3), pool=st.integers(1, 3))
@settings(max_examples=15, deadline=None)
def test_pixels_and_pairs_by_the_equations(seed: int, n: int, pool: int) -> None:
    student, teacher = segmented(seed, n, 2, 5), segmented(seed + 1, n, 4, 5)
    labels = torch.from_numpy(np.random.default_rng(seed).integers(0, CLASSES, len(student.logits)))
    found = terms(StructuredKD(10.0, "stage3", pool), [student], labels, [teacher])
    pixels = [(softmax(t), softmax(s)) for t, s in zip(teacher.logits.numpy(), student.logits.numpy(), strict=True)]
    pixel = np.mean([(t * np.log(t / s)).sum() for t, s in pixels])
    maps = [output.features["stage3"].numpy() for output in (student, teacher)]
    pair = np.mean([((cosines(s, pool) - cosines(t, pool)) ** 2).mean() for s, t in zip(*maps, strict=True)])
    ce = -np.mean([np.log(s[label]) for (_, s), label in zip(pixels, labels.tolist(), strict=True)])
    assert list(found) == ["ce", "pixel", "pair"]
    expected = {"ce": ce, "pixel": 10 * pixel, "pair": 10 * pair}
    assert {name: term.item() for name, term in found.items()} == pytest.approx(expected, rel=1e-6)


def test_lengths_take_no_gradient() -> None:
    student, teacher = segmented(1, 2, 2, 2), segmented(2, 2, 2, 2)
    own = student.features["stage3"].requires_grad_(True)
    terms(StructuredKD(1.0, "stage3"), [student], torch.zeros(32, dtype=torch.int64), [teacher])["pair"].backward()
    unit = (own / own.norm(dim=1, keepdim=True)).detach().flatten(2)
    taught = teacher.features["stage3"].flatten(2)
    taught = taught / taught.norm(dim=1, keepdim=True)
    error = unit.transpose(1, 2) @ unit - taught.transpose(1, 2) @ taught
    # d/da_i of mean (a_i·a_j − t_ij)², each pair twice, then divided by the length of f_i alone.
    expected = 4 * (unit @ error) / error.numel() / own.detach().flatten(2).norm(dim=1, keepdim=True)
    assert torch.allclose(own.grad.flatten(2), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("student", "teacher", "says"),
    [
        ({"stage3": (4, 12)}, {"stage3": (8, 6)}, "12 pixels wide in the student and 6 in the teacher"),
        ({"stage3": (4, 1)}, {"stage3": (8, 1)}, "no less than 'pool', 2"),
        ({"stage1": (4, 2)}, {"stage3": (8, 2)}, "the student's network gives no feature map 'stage3'"),
    ],
)
def test_maps_that_cannot_be_compared_are_refused(student: dict, teacher: dict, says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        StructuredKD(10.0, "stage3", 2).compare(student, teacher)
