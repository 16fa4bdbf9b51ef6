import numpy as np
import pytest
import torch

from bench.networks.encoder_decoder import EncoderDecoder
from bench.networks.initial import initialise
from bench.networks.modules.base import by_label
from bench.rng import generator


@pytest.mark.parametrize("width", [1, 4])
@pytest.mark.parametrize("size", [8, 12])
def test_an_answer_for_each_pixel_and_the_features_that_are_declared(width: int, size: int) -> None:
    declared = EncoderDecoder(width)
    module = declared.build(5, 3, size).eval()
    output = module(torch.zeros(2, 3, size, size))
    assert output.logits.shape == (2, 5, size, size)
    assert {name: (f.shape[1], f.shape[2]) for name, f in output.features.items()} == declared.features(size)


@pytest.mark.parametrize(("width", "parameters"), [(4, 7_642), (16, 118_678)])
def test_parameters(width: int, parameters: int) -> None:
    w = width
    levels = [(3, w), (w, 2 * w), (2 * w, 4 * w), (6 * w, 2 * w), (3 * w, w)]
    by_hand = sum(9 * a * b + 9 * b * b + 4 * b for a, b in levels) + 6 * w + 6
    module = EncoderDecoder(width).build(6, 3, 48)
    assert sum(p.numel() for p in module.parameters()) == by_hand == parameters


def test_every_weight_is_drawn_and_has_a_gradient() -> None:
    module = EncoderDecoder(2).build(4, 3, 8)
    initialise(module, generator(1, "weights/0"))
    module(
        torch.from_numpy(np.random.default_rng(1).normal(size=(2, 3, 8, 8))).float()
    ).logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())


def test_a_pixel_sees_its_neighbours_and_no_other_image() -> None:
    module = EncoderDecoder(2).build(4, 3, 8).double().eval()
    initialise(module, generator(1, "weights/0"))
    images = torch.from_numpy(np.random.default_rng(2).normal(size=(2, 3, 8, 8)))
    other = images.clone()
    other[1] += 1
    one, two = module(images).logits, module(other).logits
    assert torch.equal(one[0], two[0])
    assert not torch.equal(one[1], two[1])


def test_pixels_are_samples_in_the_order_of_their_labels() -> None:
    logits = torch.arange(2 * 3 * 2 * 2).reshape(2, 3, 2, 2)
    flat = by_label(logits)
    assert flat.shape == (8, 3)
    for i, (n, y, x) in enumerate(np.ndindex(2, 2, 2)):
        assert flat[i].tolist() == logits[n, :, y, x].tolist()
    assert by_label(flat) is flat
