"""Representations of weights: what is made of a tensor, which tensors, and what they take."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bench.errors import RecipeError
from bench.networks.resnet import ResNet
from bench.quantisers import Ternary, Uniform

RESNET = ResNet(depth=8, block="basic", shortcut="B", width=0.25)
# Shapes of biases, of convolutions and of linear layers; dividing a bucket, and not.
SHAPES = st.sampled_from([(1,), (7,), (256,), (16, 3, 3, 3), (5, 52), (8, 8, 3, 3)])
DTYPES = st.sampled_from([torch.float32, torch.float64])


def weight_of(shape: tuple[int, ...], seed: int, scale: float, dtype: torch.dtype) -> Tensor:
    return torch.from_numpy(scale * np.random.default_rng(seed).normal(size=shape)).to(dtype)


CASES = {
    "shape": SHAPES,
    "seed": st.integers(0, 2**32),
    "scale": st.sampled_from([1e-6, 0.1, 1.0, 1e6]),
    "dtype": DTYPES,
}


@given(bits=st.integers(1, 8), bucket=st.sampled_from([1, 3, 16, 256]), **CASES)
@settings(max_examples=100, deadline=None)
def test_uniform_is_the_nearest_of_few_levels_of_each_bucket(bits, bucket, shape, seed, scale, dtype) -> None:
    quantiser, weight = Uniform(ends="quantised", bits=bits, bucket=bucket), weight_of(shape, seed, scale, dtype)
    made = quantiser.quantise(weight)
    assert (made.shape, made.dtype) == (weight.shape, weight.dtype)
    assert torch.equal(quantiser.quantise(made), made)  # what is quantised stays as it is, to the bit
    steps, eps = 2**bits - 1, torch.finfo(dtype).eps
    for own, levels in zip(weight.flatten().split(bucket), made.flatten().split(bucket), strict=True):
        least, greatest = own.min(), own.max()
        assert len(levels.unique()) <= 2**bits
        assert {float(least), float(greatest)} <= {*levels.tolist()}
        rounding = 8 * eps * own.abs().max()
        assert (levels - own).abs().max() <= (greatest - least) / steps / 2 + rounding
        expected = (own - least).double() / max(float(greatest - least), 1e-300) * steps
        grid = least + expected.round() / steps * (greatest - least).double()
        half = (expected % 1 - 0.5).abs() < 1e-4  # either neighbour will do
        torch.testing.assert_close(levels.double()[~half], grid[~half], rtol=0, atol=float(rounding))


def test_uniform_by_hand() -> None:
    # Two bits, from −1 to 2: the levels −1, 0, 1, 2. The last bucket has two weights, its own ends.
    weight = torch.tensor([[-1.0, 0.4, 0.6], [2.0, 0.1, 0.3]])
    made = Uniform(ends="quantised", bits=2, bucket=4).quantise(weight)
    torch.testing.assert_close(made, torch.tensor([[-1.0, 0.0, 1.0], [2.0, 0.1, 0.3]]), rtol=0, atol=1e-7)


@pytest.mark.parametrize("value", [0.0, 1.0, -3.5, 1e-40])
def test_equal_weights_stay_what_they_are(value: float) -> None:
    weight = torch.full((3, 5), value)
    assert torch.equal(Uniform(ends="quantised", bits=4, bucket=256).quantise(weight), weight)


@given(threshold=st.floats(0.05, 2.0), **CASES)
@settings(max_examples=100, deadline=None)
def test_ternary_is_the_best_scale_of_those_above_the_threshold(threshold, shape, seed, scale, dtype) -> None:
    quantiser, weight = Ternary(ends="full", threshold=threshold), weight_of(shape, seed, scale, dtype)
    made = quantiser.quantise(weight)
    w = weight.double().numpy().ravel()
    delta = threshold * np.abs(w).mean()
    large = np.abs(w) > delta
    if (np.abs(np.abs(w) - delta) < 1e-6 * delta).any():
        return  # either side will do
    alpha = np.abs(w[large]).mean() if large.any() else 0.0
    np.testing.assert_allclose(made.double().numpy().ravel(), np.sign(w) * large * alpha, rtol=1e-5)
    assert len(made.unique()) <= 3
    # Δ is at least α times the share of zeros below it, so that what is ternary stays so.
    if threshold < 1:
        torch.testing.assert_close(quantiser.quantise(made), made)


def test_ternary_by_hand() -> None:
    # mean |w| = 1, Δ = 0.7: α = (1.5 + 2.0) / 2.
    weight = torch.tensor([1.5, -2.0, 0.4, -0.1])
    assert Ternary(ends="full", threshold=0.7).quantise(weight).tolist() == [1.75, -1.75, 0.0, 0.0]
    assert Ternary(ends="full", threshold=0.7).quantise(torch.zeros(2, 2)).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("ends", ["quantised", "full"])
def test_which_parameters(ends) -> None:
    parameters = dict(RESNET.build(10, 3, 32).named_parameters())
    uniform = set(Uniform(ends=ends, bits=4, bucket=256).chosen(parameters))
    ternary = set(Ternary(ends=ends, threshold=0.7).chosen(parameters))
    kept = {"stem.0.weight", "linear.weight"} if ends == "full" else set()
    assert uniform == parameters.keys() - kept
    assert ternary == {name for name, own in parameters.items() if own.ndim > 1} - kept
    assert "stage1.0.path.0.weight" in ternary


def test_bytes_by_hand() -> None:
    parameters = {"first": torch.zeros(4, 3, 3, 3), "bias": torch.zeros(4), "linear": torch.zeros(10, 60)}
    # 108, 4 and 600 weights: 1, 1 and 3 buckets of two float32 each.
    assert Uniform(ends="quantised", bits=2, bucket=256).num_bytes(parameters) == 712 * 2 // 8 + 5 * 8
    assert Uniform(ends="full", bits=2, bucket=256).num_bytes(parameters) == 708 * 4 + 4 * 2 // 8 + 8
    assert Ternary(ends="quantised", threshold=0.7).num_bytes(parameters) == 708 * 2 // 8 + 2 * 4 + 4 * 4
    # A last byte that is not full is one.
    assert Uniform(ends="quantised", bits=3, bucket=256).num_bytes({"w": torch.zeros(3)}) == 2 + 8


def test_more_bits_than_can_be_told_apart_are_refused() -> None:
    Uniform(ends="quantised", bits=16, bucket=256).check()
    with pytest.raises(RecipeError, match="bits: at most 16, got 17"):
        Uniform(ends="quantised", bits=17, bucket=256).check()
