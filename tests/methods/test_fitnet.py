import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import RecipeError
from bench.methods.fitnet import FitNet
from bench.networks.resnet import ResNet
from bench.networks.vgg import VGG
from tests.methods.contract import pair_of, parts_of, stage_pairs, terms


@given(seed=st.integers(0, 2**32), n=st.integers(2, 4))
@settings(max_examples=10, deadline=None)
def test_a_stage_of_one_size_by_its_sums(seed: int, n: int) -> None:
    student, teacher = pair_of(seed, n)
    method = FitNet(weight=100.0, layer="stage3")
    parts = parts_of(method, student, teacher)
    own, other = stage_pairs(student, teacher)[2]
    weight, bias = (p.detach().numpy() for p in parts.regressor[0].parameters())
    assert weight.shape[2:] == (1, 1)
    made = np.einsum("dc,nchw->ndhw", weight[:, :, 0, 0], own) + bias[:, None, None]
    mean, variance = (f(made, axis=(0, 2, 3), keepdims=True) for f in (np.mean, np.var))
    regressed = np.maximum((made - mean) / np.sqrt(variance + 1e-5), 0)
    found = terms(method, [student], torch.zeros(n, dtype=torch.int64), [teacher], parts=parts)
    assert list(found) == ["ce", "hint"]
    assert found["hint"].item() == pytest.approx(100 * ((regressed - other) ** 2).mean(), rel=1e-8)


@pytest.mark.parametrize("layer", ["stage1", "stage2", "stage3"])
def test_sizes_that_differ_by_a_factor_of_two_and_everything_learns(layer: str) -> None:
    student, teacher = pair_of(1)
    method = FitNet(weight=1.0, layer=layer)
    parts = parts_of(method, student, teacher)
    student.features[layer].requires_grad_()
    terms(method, [student], torch.zeros(3, dtype=torch.int64), [teacher], parts=parts)["hint"].backward()
    assert student.features[layer].grad.any()
    assert all(parameter.grad is not None for parameter in parts.parameters())


def test_by_hand() -> None:
    # Two images of one pixel: whatever the weights, normalisation gives −1 and 1 (or 1 and −1), and the ReLU 0 and 1.
    student, teacher = pair_of(1, 2, student=((1, 1), (1, 1), (1, 1)), teacher=((1, 1), (1, 1), (1, 1)))
    method = FitNet(weight=1.0, layer="stage1")
    parts = parts_of(method, student, teacher)
    student.features["stage1"].copy_(torch.tensor([5.0, -3.0]).reshape(2, 1, 1, 1))
    teacher.features["stage1"].copy_(torch.tensor([1.0, 2.0]).reshape(2, 1, 1, 1))
    parts.regressor[0].weight.data.fill_(1e3)
    found = terms(method, [student], torch.zeros(2, dtype=torch.int64), [teacher], parts=parts)
    assert found["hint"].item() == pytest.approx((0 + 2**2) / 2, rel=1e-6)


def test_a_layer_that_no_convolution_reaches_is_refused() -> None:
    resnet, vgg = ResNet(8, "basic", "B", 1.0).features(32), VGG(8).features(32)
    FitNet(weight=1.0, layer="stage2").compare(vgg, resnet)
    with pytest.raises(RecipeError, match=r"'stem' is 8 pixels wide in the student and 32 in the teacher"):
        FitNet(weight=1.0, layer="stem").compare({"stem": (3, 8)}, resnet)
    with pytest.raises(RecipeError, match="no feature map 'stage4'; known: stem, "):
        FitNet(weight=1.0, layer="stage4").compare(vgg, resnet)
