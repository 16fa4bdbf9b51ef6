import numpy as np
import pytest
import torch
from bench.data.views import epoch_draws, normalise, pad, subset, view
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms import functional as reference

from bench.errors import DataError


def random_images(count: int, height: int, width: int, channels: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, height, width, channels), dtype=torch.uint8)


@pytest.mark.parametrize("mode", ["constant", "reflect"])
@pytest.mark.parametrize(("size", "channels", "padding"), [(32, 3, 4), (28, 1, 2), (32, 3, 0)])
def test_augmentation_is_torchvisions(mode, size, channels, padding):
    images = random_images(6, size, size, channels)
    index = torch.tensor([3, 0, 5, 5, 1])
    top = torch.tensor([0, 2 * padding, padding, 1, 0]).clamp(max=2 * padding)
    left = torch.tensor([2 * padding, 0, padding, 0, 1]).clamp(max=2 * padding)
    flip = torch.tensor([True, False, False, True, True])
    mean, std = torch.tensor([0.4914, 0.4822, 0.4465][:channels]), torch.tensor([0.2023, 0.1994, 0.2010][:channels])

    ours = view(pad(images, padding, mode), index, top, left, flip, size)
    for k, i in enumerate(index):
        image = reference.to_pil_image(images[i].permute(2, 0, 1))
        image = reference.pad(image, [padding], padding_mode=mode)
        image = reference.crop(image, int(top[k]), int(left[k]), size, size)
        image = reference.to_tensor(reference.hflip(image) if flip[k] else image)
        assert torch.equal(ours[k].float() / 255, image)
        assert torch.equal(normalise(ours, mean, std)[k], reference.normalize(image, mean.tolist(), std.tolist()))


def test_padding_of_images_that_are_not_square():
    images = random_images(2, 5, 9, 2)
    for mode in ("constant", "reflect"):
        expected = reference.pad(images.permute(0, 3, 1, 2), [3], padding_mode=mode).permute(0, 2, 3, 1)
        assert torch.equal(pad(images, 3, mode), expected)


def test_views_lie_in_channels_last_memory():
    padded, zeros = pad(random_images(4, 32, 32, 3), 4, "constant"), torch.zeros(4, dtype=torch.int64)
    views = view(padded, torch.arange(4), zeros, zeros, zeros.bool(), 32)
    assert views.dtype == torch.uint8
    assert views.shape == (4, 3, 32, 32)
    assert views.is_contiguous(memory_format=torch.channels_last)
    half = torch.full((3,), 0.5)
    floats = normalise(views, half, half, torch.bfloat16)
    assert floats.dtype == torch.bfloat16
    assert floats.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_view_can_be_captured_in_a_cuda_graph():
    padded = pad(random_images(64, 32, 32, 3).cuda(), 4, "reflect")
    index, top, left = (torch.randint(0, 9, (16,), device="cuda") for _ in range(3))
    flip, half = index > 4, torch.full((3,), 0.5, device="cuda")
    expected = normalise(view(padded, index, top, left, flip, 32), half, half)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = normalise(view(padded, index, top, left, flip, 32), half, half)
    graph.replay()
    assert torch.equal(captured, expected)


def test_draws_belong_to_seed_and_epoch_and_stay_in_range():
    draws = epoch_draws(seed=1, epoch=2, n=2000, padding=4, flip=True)
    again, later, other = (
        epoch_draws(1, 2, 2000, 4, True),
        epoch_draws(1, 3, 2000, 4, True),
        epoch_draws(2, 2, 2000, 4, True),
    )
    for key in ("order", "top", "left", "flip"):
        np.testing.assert_array_equal(getattr(draws, key), getattr(again, key))
        assert not np.array_equal(getattr(draws, key), getattr(later, key))
        assert not np.array_equal(getattr(draws, key), getattr(other, key))
    np.testing.assert_array_equal(np.sort(draws.order), np.arange(2000))
    assert (draws.order.dtype, draws.top.dtype, draws.flip.dtype) == (np.int64, np.int64, np.bool_)
    assert set(draws.top) == set(draws.left) == set(range(9))
    assert 0.45 < draws.flip.mean() < 0.55
    assert abs(np.corrcoef(draws.top, draws.left)[0, 1]) < 0.1


def test_no_padding_and_no_flips_leave_the_other_draws_as_they_are():
    plain, full = epoch_draws(1, 0, 50, 0, False), epoch_draws(1, 0, 50, 4, True)
    assert not plain.top.any()
    assert not plain.left.any()
    assert not plain.flip.any()
    np.testing.assert_array_equal(plain.order, full.order)


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
