import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bench.methods.ft import FT, Paraphrase
from bench.networks.modules.base import Output
from tests.methods.contract import of_one_size, pair_of, parts_of, terms
from tests.methods.test_at import attention


def convolved(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """3x3 with a border of zeros, by its sums."""
    n, _, h, w = x.shape
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    found = np.zeros((n, len(weight), h, w))
    for r, c in np.ndindex(3, 3):
        found += np.einsum("dc,nchw->ndhw", weight[:, :, r, c], padded[:, :, r : r + h, c : c + w])
    return found + bias[:, None, None]


def leaky(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, 0.1 * x)


def coded(layers: nn.Sequential, x: np.ndarray) -> np.ndarray:
    """What a half of the paraphraser, or the translator, gives."""
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            x = convolved(x, *(p.detach().numpy() for p in layer.parameters()))
        elif isinstance(layer, nn.ConvTranspose2d):
            # A transposed convolution is one with the kernel turned around, from the outputs to the inputs.
            weight, bias = (p.detach().numpy() for p in layer.parameters())
            x = convolved(x, weight.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1], bias)
        elif isinstance(layer, nn.BatchNorm2d):
            mean, variance = (f(x, axis=(0, 2, 3), keepdims=True) for f in (np.mean, np.var))
            x = (x - mean) / np.sqrt(variance + 1e-5)
        else:
            x = leaky(x)
    return x


@given(seed=st.integers(0, 2**32), n=st.integers(1, 3))
@settings(max_examples=5, deadline=None)
def test_the_paraphraser_rebuilds_the_teachers_last_stage(seed: int, n: int) -> None:
    student, teacher = pair_of(seed, n)
    parts = parts_of(Paraphrase(), student, teacher)
    feature = teacher.features["stage3"].numpy()
    rebuilt = coded(parts.paraphraser.decoder, coded(parts.paraphraser.encoder, feature))
    found = terms(Paraphrase(), [student], torch.zeros(n, dtype=torch.int64), [teacher], parts=parts)
    assert list(found) == ["paraphrase"]
    assert found["paraphrase"].item() == pytest.approx(((rebuilt - feature) ** 2).mean(), rel=1e-9)


@given(seed=st.integers(0, 2**32), n=st.integers(2, 3))
@settings(max_examples=5, deadline=None)
def test_the_translated_factor_learns_the_paraphrased_one(seed: int, n: int) -> None:
    student, teacher = pair_of(seed, n, teacher=((3, 4), (2, 8), (6, 4)))
    method = FT(weight=200.0)
    parts = parts_of(method, student, teacher)
    own = coded(parts.translator, student.features["stage3"].numpy())
    other = coded(parts.paraphraser.encoder, teacher.features["stage3"].numpy())
    assert own.shape[1] == other.shape[1] == 3
    pairs = zip(*of_one_size(own, other), strict=True)
    expected = np.mean([np.abs(attention(a) - attention(b)) for a, b in pairs])
    found = terms(method, [student], torch.zeros(n, dtype=torch.int64), [teacher], parts=parts)
    assert list(found) == ["ce", "ft"]
    assert found["ft"].item() == pytest.approx(200 * expected, rel=1e-8)


def test_the_paraphraser_is_frozen_and_the_translator_is_not() -> None:
    parts = parts_of(FT(weight=1.0), *pair_of(1))
    assert not any(parameter.requires_grad for parameter in parts.paraphraser.parameters())
    assert all(parameter.requires_grad for parameter in parts.translator.parameters())


def test_by_hand() -> None:
    # With factors as they are, (3, 4) and (1, 0) have the maps (9, 16)/√337 and (1, 0).
    parts = nn.Module()
    parts.translator, parts.paraphraser = nn.Identity(), nn.Module()
    parts.paraphraser.encoder = nn.Identity()
    own, other = (
        Output(torch.zeros(1, 2).double(), {"stage1": torch.tensor(f).double().reshape(1, 1, 1, 2)})
        for f in ([3.0, 4.0], [1.0, 0.0])
    )
    expected = ((1 - 9 / 337**0.5) + 16 / 337**0.5) / 2
    found = terms(FT(weight=1.0), [own], torch.tensor([0]), [other], parts=parts)
    assert found["ft"].item() == pytest.approx(expected)
